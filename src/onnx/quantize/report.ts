import type { SkipCode } from './plan.ts';
import type { Channel, WeightError } from './weight.ts';

/** What was quantized and what was not, and why: plain data, for verdicts and for people. */
export interface QuantizationReport {
  readonly options: { readonly perChannel: boolean; readonly reduceRange: boolean; readonly smallest: number };
  /** False: nothing to do, and the model is the one that came in. */
  readonly changed: boolean;
  /** Every MatMul, Gemm, Gather and LSTM, in the order of the graph; those of If, Loop and Scan bodies after it. */
  readonly nodes: readonly NodeOutcome[];
  /** Every weight that is int8 now. */
  readonly weights: readonly WeightOutcome[];
  /** How many of `nodes` lie in bodies of If, Loop and Scan. */
  readonly nodesInSubgraphs: number;
  /** Graph inputs that were only the default of a weight, and are gone with it. */
  readonly inputsRemoved: readonly string[];
  /** All constants of the model. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

export type NodeOutcome = { readonly node: string; readonly opType: string } & (
  | { readonly outcome: 'quantized'; readonly weight: string }
  | { readonly outcome: 'skipped'; readonly code: SkipCode; readonly reason: string }
);

export interface WeightOutcome {
  /** The float constant that it replaces. */
  readonly weight: string;
  /** The int8 initializer. */
  readonly quantized: string;
  /** Of the int8 initializer. */
  readonly shape: readonly number[];
  /** Which numbers of the int8 matrix share a scale. */
  readonly channel: Channel;
  readonly reduceRange: boolean;
  readonly error: WeightError;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}
