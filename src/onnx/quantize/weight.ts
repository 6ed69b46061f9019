import { integerRange, quantizationParameters, quantizeValue } from './scale.ts';

/** How far the quantized weight is from the float one. */
export interface WeightError {
  /** Largest absolute difference. */
  readonly maxAbs: number;
  /** Signal to quantization noise, 10·log10(Σw² / Σ(w−ŵ)²), in dB; null when nothing was lost. */
  readonly sqnrDb: number | null;
}

/** A matrix [rows, columns] as int8, row-major, and the scale of each channel (one for `tensor`). Zero points are 0. */
export interface QuantizedMatrix {
  readonly values: Int8Array;
  readonly scales: Float32Array;
  readonly error: WeightError;
}

/** Which numbers share a scale. */
export type Channel = 'row' | 'column' | 'tensor';

/** Beyond it the width of the range, 2·max|w|, is no float32 any more. */
export const largestWeight = 2 ** 126;

/** Symmetric int8 quantization. `weights`: rows × columns finite values of at most `largestWeight`. */
export function quantizeMatrix(
  weights: Float32Array,
  [rows, columns]: readonly [number, number],
  channel: Channel,
  { reduceRange }: { reduceRange: boolean },
): QuantizedMatrix {
  const scheme = { type: 'int8', symmetric: true, reduceRange } as const;
  const range = integerRange(scheme);
  // Channel of element [r, c] = r × perRow + c × perColumn: no division and no call in the loops over millions.
  const perRow = channel === 'row' ? 1 : 0;
  const perColumn = channel === 'column' ? 1 : 0;
  const largest = new Float32Array(channel === 'row' ? rows : channel === 'column' ? columns : 1);
  for (let r = 0, i = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++, i++) {
      const at = r * perRow + c * perColumn;
      const magnitude = Math.abs(weights[i]!);
      if (magnitude > largest[at]!) largest[at] = magnitude;
    }
  }
  const scales = largest.map((max) => quantizationParameters(-max, max, scheme).scale);

  const values = new Int8Array(weights.length);
  let maxAbs = 0;
  let signal = 0;
  let noise = 0;
  for (let r = 0, i = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++, i++) {
      const weight = weights[i]!;
      const scale = scales[r * perRow + c * perColumn]!;
      const quantized = quantizeValue(weight, scale, 0, range);
      values[i] = quantized;
      const difference = weight - scale * quantized;
      maxAbs = Math.max(maxAbs, Math.abs(difference));
      signal += weight * weight;
      noise += difference * difference;
    }
  }
  return { values, scales, error: { maxAbs, sqnrDb: noise === 0 ? null : 10 * Math.log10(signal / noise) } };
}

/** [rows, columns] → [columns, rows]. */
export function transposed(values: Float32Array, [rows, columns]: readonly [number, number]): Float32Array {
  const out = new Float32Array(values.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = values[r * columns + c]!;
  return out;
}
