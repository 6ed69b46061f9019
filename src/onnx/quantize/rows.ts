import { quantizeSymmetric } from './scale.ts';
import { floatsIn, type LossSums, loopsFor } from './weight-loops.ts';
import { magnitudeBits, withoutSign } from './weight-values.ts';

/** Rows that are shorter cost more to hand to the vector loops than to go through here. */
const shortRow = 64;

/** Raises `largest`, the largest magnitude of every row of a matrix; `weights` are finite float32 as bytes. */
export function largestOfRows(weights: Uint8Array, columns: number, largest: Float32Array): void {
  if (columns < shortRow) {
    largestOfShortRows(weights, columns, largest);
    return;
  }
  const loops = loopsFor(columns, columns, 1);
  eachRow(weights, columns, (row, r) => loops.largest(row, columns, largest.subarray(r, r + 1)));
}

/** Fills `values`, each row by its own scale, and adds to `loss`. */
export function quantizeRows(
  values: Int8Array,
  weights: Uint8Array,
  columns: number,
  scales: Float32Array,
  limit: number,
  loss: LossSums,
): void {
  if (columns < shortRow) {
    quantizeShortRows(values, weights, columns, scales, limit, loss);
    return;
  }
  const loops = loopsFor(columns, columns, 1);
  eachRow(weights, columns, (row, r) =>
    loops.quantize(
      values.subarray(r * columns, (r + 1) * columns),
      row,
      columns,
      scales.subarray(r, r + 1),
      limit,
      loss,
    ),
  );
}

function eachRow(weights: Uint8Array, columns: number, run: (row: Uint8Array, r: number) => void): void {
  for (let at = 0, r = 0; at < weights.length; at += 4 * columns, r++) run(weights.subarray(at, at + 4 * columns), r);
}

function largestOfShortRows(weights: Uint8Array, columns: number, largest: Float32Array): void {
  const magnitudes = magnitudeBits(floatsIn(weights));
  const most = magnitudeBits(largest);
  for (let i = 0, r = 0; i < magnitudes.length; r++) {
    let max = most[r]!;
    for (const end = i + columns; i < end; i++) {
      const magnitude = magnitudes[i]! & withoutSign;
      if (magnitude > max) max = magnitude;
    }
    most[r] = max;
  }
}

function quantizeShortRows(
  values: Int8Array,
  bytes: Uint8Array,
  columns: number,
  scales: Float32Array,
  limit: number,
  loss: LossSums,
): void {
  const weights = floatsIn(bytes);
  let { maxAbs, signal, noise } = loss;
  for (let i = 0, r = 0; i < weights.length; r++) {
    const scale = scales[r]!;
    for (const end = i + columns; i < end; i++) {
      const weight = weights[i]!;
      const quantized = quantizeSymmetric(weight, scale, limit);
      values[i] = quantized;
      const difference = weight - scale * quantized;
      const distance = Math.abs(difference);
      if (distance > maxAbs) maxAbs = distance;
      signal += weight * weight;
      noise += difference * difference;
    }
  }
  Object.assign(loss, { maxAbs, signal, noise });
}
