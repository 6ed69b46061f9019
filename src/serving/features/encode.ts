import type { FeatureRow, ModelSignature } from '../../contracts/model.ts';
import { HashedTextEncoder } from './hashed-text-encoder.ts';
import { NumericEncoder } from './numeric-encoder.ts';
import type { InputRow } from './rows.ts';

export { textsOf } from './hashed-text-encoder.ts';
export { FeatureError, type InputRow } from './rows.ts';

/** One input of a graph, ready to become an ONNX Runtime tensor. */
export type EncodedInput =
  | { type: 'int32'; data: Int32Array; dims: [number, number] }
  | { type: 'float32'; data: Float32Array; dims: [number, number] };

/** Rows → the graph's inputs, as one kind of preprocessing says. */
export interface FeatureEncoder {
  /** The graph's inputs by name, for one batch. @throws FeatureError for a feature that is missing or of another type. */
  encode(rows: readonly InputRow[]): Record<string, EncodedInput>;
  /** A row that every model of this signature can answer; for checks and warm-up, never for quality. */
  readonly neutralRow: FeatureRow;
}

/** A new kind of features is a case here and in the contract, and a class beside the two. */
export function encoderOf(preprocessing: ModelSignature['preprocessing']): FeatureEncoder {
  switch (preprocessing.kind) {
    case 'hashed-text':
      return new HashedTextEncoder(preprocessing);
    case 'numeric':
      return new NumericEncoder(preprocessing);
  }
}

/** For one batch; whoever has many of one model keeps the encoder. */
export const encodeFeatures = (
  rows: readonly InputRow[],
  preprocessing: ModelSignature['preprocessing'],
): Record<string, EncodedInput> => encoderOf(preprocessing).encode(rows);
