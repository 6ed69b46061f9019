import { largestOfRows, quantizeRows } from './rows.ts';
import { integerRange, quantizationParameters } from './scale.ts';
import { fewestCodedRows, type ScaleLevels, scaleLevels } from './scale-levels.ts';
import { type QuantizedMatrix, quantizeStack, sqnrDb } from './weight.ts';
import { floatsIn } from './weight-loops.ts';

export interface QuantizedTable extends QuantizedMatrix {
  /** `tensor`: one scale for the whole table. */
  readonly channel: 'row' | 'tensor';
  /** Which of `scales` a row has; without them row r has scale r, or all have the only one. */
  readonly codes?: Uint8Array;
}

/**
 * Shorter rows that are summed up may share one scale: looking a row's own up costs as much as the row, in bytes (an eighth
 * of a row of 32) and in time (measured 1.6 times as much).
 */
const shortRow = 128;
/**
 * Noise to signal that one scale may cost a table of short rows, by the measure of `sensitivity.ts`: the mean over columns,
 * at most 1 each. By column, because large rows make the sum, and the next layer reads all its columns, also the small ones.
 */
const mostNoise = 1e-3;

/** An embedding table [rows, columns], float32 as bytes, as int8 rows. `isSummed`: nothing reads a row alone. Conditions as for `quantizeMatrix`. */
export function quantizeTable(
  floats: Uint8Array,
  [rows, columns]: readonly [number, number],
  { isSummed }: { isSummed: boolean },
): QuantizedTable {
  // Nothing is summed up in integers, so a table has all 8 bits.
  const scheme = { type: 'int8', symmetric: true, reduceRange: false } as const;
  if (isSummed && columns < shortRow) {
    const whole = quantizeStack(floats, [1, rows, columns], 'tensor', scheme);
    if (noiseOfColumns(floatsIn(floats), whole, columns) <= mostNoise) return { ...whole, channel: 'tensor' };
  }
  const limit = integerRange(scheme).max;
  const largest = new Float32Array(rows);
  largestOfRows(floats, columns, largest);
  const own = largest.map((most) => quantizationParameters(-most, most, scheme).scale);
  const { levels, codes } = rows < fewestCodedRows ? { levels: own, codes: undefined } : codedScales(own, largest);
  const scales = codes === undefined ? own : Float32Array.from(codes, (code) => levels[code]!);
  const values = new Int8Array(rows * columns);
  const loss = { maxAbs: 0, signal: 0, noise: 0 };
  quantizeRows(values, floats, columns, scales, limit, loss);
  const error = { maxAbs: loss.maxAbs, sqnrDb: sqnrDb(loss) };
  return { values, scales: levels, error, channel: 'row', ...(codes && { codes }) };
}

/** Rows that are zero have scale 1 for want of a better one, which is no part of the range that levels cover. */
const codedScales = (scales: Float32Array, largest: Float32Array): ScaleLevels =>
  scaleLevels(scales.map((scale, r) => (scale > largest[r]! ? 0 : scale)));

function noiseOfColumns(weights: Float32Array, { values, scales }: QuantizedMatrix, columns: number): number {
  const [signal, noise] = [new Float64Array(columns), new Float64Array(columns)];
  const scale = scales[0]!;
  for (let i = 0; i < weights.length; ) {
    for (let c = 0; c < columns; c++, i++) {
      const weight = weights[i]!;
      signal[c]! += weight * weight;
      noise[c]! += (weight - scale * values[i]!) ** 2;
    }
  }
  const shares = noise.map((lost, c) => (lost === 0 ? 0 : Math.min(1, lost / signal[c]!)));
  return shares.reduce((sum, share) => sum + share, 0) / columns;
}
