import type { Tensor } from '../../model.ts';
import type { ExtremeOutputs } from './observed-model.ts';
import type { CalibrationMethod } from './ranges.ts';
import type { ValueRange } from './value-range.ts';

/** What the calibration process is asked; one question at a time, each answered by its `…ed` or by `failed`. */
export type ToCalibration =
  | {
      readonly op: 'open';
      readonly extremes: readonly ExtremeOutputs[];
      readonly method: CalibrationMethod;
      readonly threads: number | undefined;
    }
  | { readonly op: 'observe'; readonly batch: readonly Tensor[] }
  | { readonly op: 'finish' };

export type FromCalibration =
  | { readonly op: 'opened' }
  | { readonly op: 'observed' }
  /** Batches counted in the second pass so far. */
  | { readonly op: 'counted'; readonly batches: number }
  | { readonly op: 'finished'; readonly ranges: readonly (readonly [value: string, range: ValueRange])[] }
  /** `type` of a typed error; undefined for one that another try may not meet. */
  | { readonly op: 'failed'; readonly message: string; readonly type: string | undefined };

/** Files in the process's folder. */
export const calibrationFiles = { extremes: 'extremes.onnx', values: 'values.onnx', batches: 'batches.bin' } as const;
