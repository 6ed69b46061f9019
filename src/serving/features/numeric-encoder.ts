import type { FeatureRow, NumericPreprocessing } from '../../contracts/model.ts';
import type { EncodedInput, FeatureEncoder } from './encode.ts';
import { describeValue, FeatureError, type FeatureValue, type InputRow, isPlaced, valuesOf } from './rows.ts';

/** As in JSON, and as programs print numbers: `1`, `-0.5`, `.5`, `1e-3`. Not what `Number` takes besides: `0x1f`, ` `. */
const decimal = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/** `features` float32[batch, n] in the order of the signature, booleans as 0 and 1. */
export class NumericEncoder implements FeatureEncoder {
  readonly neutralRow: FeatureRow;
  private readonly features: readonly string[];

  constructor({ features }: NumericPreprocessing) {
    this.features = features;
    this.neutralRow = Object.fromEntries(features.map((feature) => [feature, 0]));
  }

  encode(rows: readonly InputRow[]): Record<string, EncodedInput> {
    const width = this.features.length;
    const data = new Float32Array(rows.length * width);
    for (const [r, row] of rows.entries()) {
      const values = valuesOf(row, r, this.features);
      for (let f = 0; f < width; f++) {
        const value = numberOf(values[f]!, isPlaced(row));
        if (value === undefined)
          throw new FeatureError(r, this.features[f], `expected a finite number, got ${describeValue(values[f]!)}`);
        data[r * width + f] = value;
        // What does not fit 32 bits would reach the model as infinity.
        if (!Number.isFinite(data[r * width + f]))
          throw new FeatureError(r, this.features[f], `expected a number that fits 32 bits, got ${value}`);
      }
    }
    return { features: { type: 'float32', data, dims: [rows.length, width] } };
  }
}

/** @param fromText CSV has numbers as text only; in a named row, text where a number belongs is a mistake. */
function numberOf(value: FeatureValue, fromText: boolean): number | undefined {
  if (typeof value === 'boolean') return Number(value);
  if (typeof value === 'number') return Number.isFinite(value) ? value : undefined;
  if (typeof value !== 'string' || !fromText) return undefined;
  const text = value.trim();
  return decimal.test(text) ? Number(text) : undefined;
}
