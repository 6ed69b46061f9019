import type { FeatureRow, Prediction } from '../../contracts/model.ts';
import type { ErrorMessage } from '../errors.ts';

/** What a scorer asks its process; one question at a time, each answered by one message. */
export type ToScoring =
  | { op: 'load'; modelFolder: string }
  | { op: 'score'; rows: FeatureRow[] }
  /** Each row by itself, with the clock running. */
  | { op: 'time'; rows: FeatureRow[] };

export type FromScoring =
  | { op: 'loaded' }
  | { op: 'scored'; predictions: Prediction[] }
  | { op: 'timed'; latenciesMs: number[] }
  | { op: 'failed'; error: ErrorMessage };
