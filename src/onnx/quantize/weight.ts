import { largestOfRows, quantizeRows } from './rows.ts';
import { integerRange, quantizationParameters } from './scale.ts';
import { type LossSums, loopsFor } from './weight-loops.ts';
import { bytesOfFloats } from './weight-values.ts';

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
  options: { reduceRange: boolean },
): QuantizedMatrix {
  return quantizeStack(weights, [1, rows, columns], channel, options);
}

/**
 * A stack of matrices [count, rows, columns], as floats or their bytes: each has scales of its own (`tensor`: one), which follow one another.
 * Conditions as for `quantizeMatrix`.
 */
export function quantizeStack(
  floats: Float32Array | Uint8Array,
  [count, rows, columns]: readonly [number, number, number],
  channel: Channel,
  { reduceRange }: { reduceRange: boolean },
): QuantizedMatrix {
  const scheme = { type: 'int8', symmetric: true, reduceRange } as const;
  const channels = { row: rows, column: columns, tensor: 1 }[channel];
  const limit = integerRange(scheme).max;
  const scales = new Float32Array(count * channels);
  const weights = floats instanceof Float32Array ? bytesOfFloats(floats) : floats;
  const values = new Int8Array(weights.length / 4);
  const loss = { maxAbs: 0, signal: 0, noise: 0 };
  const size = rows * columns;
  for (let m = 0; m < count; m++) {
    const matrix = weights.subarray(4 * m * size, 4 * (m + 1) * size);
    const own = scales.subarray(m * channels, (m + 1) * channels);
    const into = values.subarray(m * size, (m + 1) * size);
    const loops = loopsFor(size, columns, channels);
    if (channel === 'row') largestOfRows(matrix, columns, own);
    else loops.largest(matrix, columns, own);
    for (let c = 0; c < channels; c++) own[c] = quantizationParameters(-own[c]!, own[c]!, scheme).scale;
    if (channel === 'row') quantizeRows(into, matrix, columns, own, limit, loss);
    else loops.quantize(into, matrix, columns, own, limit, loss);
  }
  return { values, scales, error: { maxAbs: loss.maxAbs, sqnrDb: sqnrDb(loss) } };
}

/** Signal to noise in dB; null when nothing was lost. */
export const sqnrDb = ({ signal, noise }: Pick<LossSums, 'signal' | 'noise'>): number | null =>
  noise === 0 ? null : 10 * Math.log10(signal / noise);

/** [rows, columns] → [columns, rows]. */
export function transposed<T extends Float32Array | Int8Array>(
  values: T,
  [rows, columns]: readonly [number, number],
): T {
  const out = new (values.constructor as new (length: number) => T)(values.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) out[c * rows + r] = values[r * columns + c]!;
  return out;
}
