import { failureTypes } from '../../contracts/failures.ts';
import type {
  FeatureRow,
  HashedTextPreprocessing,
  ModelSignature,
  NumericPreprocessing,
} from '../../contracts/model.ts';
import { hashedTextIds } from './hashed-text.ts';

/** One input of a graph, ready to become an ONNX Runtime tensor. */
export type EncodedInput =
  | { type: 'int32'; data: Int32Array; dims: [number, number] }
  | { type: 'float32'; data: Float32Array; dims: [number, number] };

/** A row does not fit the model's signature; the message names the row, the feature and what was expected. */
export class FeatureError extends Error {
  override readonly name = 'FeatureError';
  readonly type = failureTypes.invalidInput;
  readonly feature: string;

  constructor(row: number, feature: string, message: string) {
    super(`row ${row}, feature "${feature}": ${message}`);
    this.feature = feature;
  }
}

/**
 * Rows → the graph's inputs by name, for one batch. `hashed-text`: `ids` int32[batch, tokens], padded with 0 to the
 * longest row of the batch and at least one column wide. `numeric`: `features` float32[batch, n], booleans as 0 and 1.
 * Throws `FeatureError` for a feature that is missing or of another type; features that the model does not name are
 * ignored.
 */
export function encodeFeatures(
  rows: readonly FeatureRow[],
  preprocessing: ModelSignature['preprocessing'],
): Record<string, EncodedInput> {
  return preprocessing.kind === 'hashed-text'
    ? { ids: hashedText(rows, preprocessing) }
    : { features: numeric(rows, preprocessing) };
}

function hashedText(rows: readonly FeatureRow[], preprocessing: HashedTextPreprocessing): EncodedInput {
  const bags = rows.map((row, r) => hashedTextIds(textsOf(row, r, preprocessing), preprocessing));
  const tokens = bags.reduce((longest, bag) => Math.max(longest, bag.length), 1);
  const data = new Int32Array(rows.length * tokens);
  for (const [r, bag] of bags.entries()) data.set(bag, r * tokens);
  return { type: 'int32', data, dims: [rows.length, tokens] };
}

/** The texts that a row's ids are made of, in the order of the signature. */
export function textsOf(row: FeatureRow, rowNumber: number, { features }: HashedTextPreprocessing): string[] {
  return features.map((feature) => {
    const value = featureOf(row, rowNumber, feature);
    if (typeof value !== 'string') throw new FeatureError(rowNumber, feature, `expected text, got ${describe(value)}`);
    return value;
  });
}

function numeric(rows: readonly FeatureRow[], { features }: NumericPreprocessing): EncodedInput {
  const data = new Float32Array(rows.length * features.length);
  for (const [r, row] of rows.entries())
    for (const [f, feature] of features.entries()) {
      const value = featureOf(row, r, feature);
      if (typeof value === 'boolean') data[r * features.length + f] = Number(value);
      else if (typeof value === 'number' && Number.isFinite(value)) data[r * features.length + f] = value;
      else throw new FeatureError(r, feature, `expected a finite number, got ${describe(value)}`);
    }
  return { type: 'float32', data, dims: [rows.length, features.length] };
}

/** An own property only: a feature named "constructor" is not found on every object. */
function featureOf(row: FeatureRow, rowNumber: number, feature: string): FeatureRow[string] {
  const value = Object.hasOwn(row, feature) ? row[feature] : undefined;
  if (value === undefined) throw new FeatureError(rowNumber, feature, 'expected a value, it is missing');
  return value;
}

/** Never the text itself: it is somebody's mail. */
const describe = (value: FeatureRow[string]): string =>
  value === null ? 'null' : typeof value === 'number' ? String(value) : typeof value;
