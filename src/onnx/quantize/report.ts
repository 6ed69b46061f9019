import type { Channel, WeightError } from './weight.ts';

/** What was quantized and what was not, and why: plain data, for verdicts and for people. */
export interface QuantizationReport {
  readonly options: { readonly perChannel: boolean; readonly reduceRange: boolean };
  /** False: nothing to do, and the model is the one that came in. */
  readonly changed: boolean;
  /** Every MatMul, Gemm and Gather of the main graph, in its order. */
  readonly nodes: readonly NodeOutcome[];
  /** Every weight that is int8 now. */
  readonly weights: readonly WeightOutcome[];
  /** MatMul, Gemm and Gather inside If, Loop and Scan; they stay as they are. */
  readonly nodesInSubgraphs: number;
  /** All initializers of the main graph. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}

export type NodeOutcome = { readonly node: string; readonly opType: string } & (
  | { readonly outcome: 'quantized'; readonly weight: string }
  | { readonly outcome: 'skipped'; readonly reason: string }
);

export interface WeightOutcome {
  /** The float initializer that it replaces. */
  readonly weight: string;
  /** The int8 initializer. */
  readonly quantized: string;
  readonly shape: readonly [number, number];
  /** Which numbers of the int8 matrix share a scale. */
  readonly channel: Channel;
  readonly reduceRange: boolean;
  readonly error: WeightError;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
}
