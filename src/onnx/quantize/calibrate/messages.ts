import type { Tensor } from '../../model.ts';
import type { PassesOptions } from './forward-passes.ts';
import type { ValueRange } from './value-range.ts';

/** What the calibration process is asked; one question at a time, each answered by `done`, `finished` or `failed`. */
export type ToCalibration =
  | ({ readonly op: 'open' } & PassesOptions)
  | { readonly op: 'observe'; readonly batch: readonly Tensor[] }
  | { readonly op: 'finish' };

export type FromCalibration =
  | { readonly op: 'done' }
  /** Batches counted in the second pass so far; the answer is still to come. */
  | { readonly op: 'counted'; readonly batches: number }
  | { readonly op: 'finished'; readonly ranges: readonly (readonly [value: string, range: ValueRange])[] }
  /** `type` of a typed error; undefined for one that another try may not meet. */
  | { readonly op: 'failed'; readonly message: string; readonly type: string | undefined };
