import type { FeatureRow, HashedTextPreprocessing } from '../../contracts/model.ts';
import type { EncodedInput, FeatureEncoder } from './encode.ts';
import { hashedTextIds } from './hashed-text.ts';
import { describeValue, FeatureError, type InputRow, valuesOf } from './rows.ts';

/** `ids` int32[batch, tokens], padded with 0 to the longest row of the batch and at least one column wide. */
export class HashedTextEncoder implements FeatureEncoder {
  readonly neutralRow: FeatureRow;
  private readonly preprocessing: HashedTextPreprocessing;

  constructor(preprocessing: HashedTextPreprocessing) {
    this.preprocessing = preprocessing;
    this.neutralRow = Object.fromEntries(preprocessing.features.map((feature) => [feature, 'warm up']));
  }

  encode(rows: readonly InputRow[]): Record<string, EncodedInput> {
    const bags = rows.map((row, r) => hashedTextIds(textsOf(row, r, this.preprocessing), this.preprocessing));
    const tokens = bags.reduce((longest, bag) => Math.max(longest, bag.length), 1);
    const data = new Int32Array(rows.length * tokens);
    for (const [r, bag] of bags.entries()) data.set(bag, r * tokens);
    return { ids: { type: 'int32', data, dims: [rows.length, tokens] } };
  }
}

/** The texts that a row's ids are made of, in the order of the signature. @throws FeatureError */
export function textsOf(row: InputRow, rowNumber: number, { features }: HashedTextPreprocessing): string[] {
  return valuesOf(row, rowNumber, features).map((value, place) => {
    if (typeof value !== 'string')
      throw new FeatureError(rowNumber, features[place], `expected text, got ${describeValue(value)}`);
    return value;
  });
}
