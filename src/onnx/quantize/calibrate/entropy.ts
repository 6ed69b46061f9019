import type { Histogram } from './histogram.ts';
import type { ValueRange } from './value-range.ts';

/** onnxruntime's and TensorRT's number of steps that a window of bins is merged into. */
const mergedBins = 128;
/** What an empty bin counts as, so that a logarithm of it exists. */
const emptyBin = 1e-4;

/**
 * The window around zero whose 128 merged bins tell least from all values, by Kullback–Leibler divergence (Migacz 2017,
 * "8-bit inference with TensorRT"), never wider than what was observed: onnxruntime 1.30's calibrator `Entropy`. It gives
 * its histogram 128 bins, which leaves one window, everything; ours has 2048 and something to choose from.
 */
export function entropyRange({ counts, edges, observed }: Histogram): ValueRange {
  const middle = counts.length >> 1;
  const total = counts.reduce((sum, count) => sum + count, 0);
  let best = { divergence: Number.POSITIVE_INFINITY, from: 0, to: counts.length };
  for (let half = mergedBins / 2; half <= middle; half++) {
    const [from, to] = [middle - half, Math.min(middle + half + 1, counts.length)];
    const divergence = divergenceOf(counts.subarray(from, to), total, sumOf(counts, 0, from));
    if (divergence < best.divergence) best = { divergence, from, to };
  }
  return { min: Math.max(edges[best.from]!, observed.min), max: Math.min(edges[best.to]!, observed.max) };
}

/** KL(P ‖ Q): P has what lies outside in its outermost bins, Q is the window in merged bins, spread out again. */
function divergenceOf(window: Float64Array, total: number, below: number): number {
  const size = window.length;
  const p = window.slice();
  p[0]! += below;
  p[size - 1]! += total - below - sumOf(window, 0, size);
  const q = new Float64Array(size);
  const merged = Math.floor(size / mergedBins);
  for (let bin = 0; bin < mergedBins; bin++) {
    const [from, to] = [bin * merged, (bin + 1) * merged];
    // What does not divide evenly belongs to the last bin.
    const values = sumOf(window, from, bin === mergedBins - 1 ? size : to);
    let filled = 0;
    for (let i = from; i < to; i++) if (p[i] !== 0) filled++;
    // Whole counts, as onnxruntime keeps them.
    if (filled > 0) q.fill(Math.floor(values / filled), from, to);
  }
  return smooth(p) && smooth(q) ? divergence(p, q) : Number.POSITIVE_INFINITY;
}

/** Gives empty bins a little of the others'; false where all are empty. */
function smooth(counts: Float64Array): boolean {
  let filled = 0;
  for (const count of counts) if (count !== 0) filled++;
  if (filled === 0) return false;
  const taken = (emptyBin * (counts.length - filled)) / filled;
  for (let i = 0; i < counts.length; i++) counts[i] = counts[i] === 0 ? emptyBin : counts[i]! - taken;
  return true;
}

function divergence(p: Float64Array, q: Float64Array): number {
  const [ofP, ofQ] = [sumOf(p, 0, p.length), sumOf(q, 0, q.length)];
  let sum = 0;
  for (let i = 0; i < p.length; i++) sum += (p[i]! / ofP) * Math.log(p[i]! / ofP / (q[i]! / ofQ));
  return sum;
}

function sumOf(counts: Float64Array, from: number, to: number): number {
  let sum = 0;
  for (let i = from; i < to; i++) sum += counts[i]!;
  return sum;
}
