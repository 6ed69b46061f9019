import { floatsOf } from '../../floats.ts';
import { integerRange } from '../scale.ts';
import type { ChannelStatistics } from './channel-statistics.ts';
import type { Product } from './observe.ts';

/** A matrix as its product reads it: `rows` [channels][outputs], row by row. */
interface Matrix {
  readonly floats: Float32Array;
  readonly channels: number;
  readonly outputs: number;
  readonly isTransposed: boolean;
}

export interface SmoothingOptions {
  readonly perChannel: boolean;
  readonly reduceRange: boolean;
  /** Fixed: SmoothQuant's α, how much of the activation's range goes into the weights. Left out: what has least noise. */
  readonly strength?: number;
}

export interface Smoothing {
  /** Of each channel, a power of two from 1 to 128: the activation is divided by it, the weights' row multiplied. */
  readonly scales: Uint8Array;
  /** Expected noise of the products, as a share of what it is without smoothing. */
  readonly noise: number;
}

/** The channels whose largest value is above one of these quantiles of all channels' are divided down to it … */
const quantiles = [0.999, 0.995, 0.99, 0.98, 0.95, 0.9, 0.8, 0.7, 0.5];
/** … or all are balanced with their weights, as SmoothQuant does (Xiao et al. 2022, arXiv 2211.10438, equation 4). */
const strengths = [0.5, 0.6, 0.7, 0.8, 0.9];
const largestScale = 128;

/** The scales with the least expected noise in the products, and how much that is; ones where nothing is better. */
export function smoothingScales(
  statistics: ChannelStatistics,
  products: readonly Product[],
  options: SmoothingOptions,
): Smoothing {
  const matrices = products.map(matrixOf);
  const norms = squaredNorms(matrices, statistics.mean.length);
  const none = new Uint8Array(statistics.mean.length).fill(1);
  const before = expectedNoise(statistics, matrices, norms, none, options);
  let best: Smoothing = { scales: none, noise: 1 };
  for (const scales of candidates(statistics.largest, matrices, options.strength)) {
    const noise = expectedNoise(statistics, matrices, norms, scales, options) / before;
    if (noise < best.noise || options.strength !== undefined) best = { scales, noise };
  }
  return best;
}

function* candidates(
  largest: Float64Array,
  matrices: readonly Matrix[],
  strength: number | undefined,
): Generator<Uint8Array> {
  if (strength === undefined) {
    const sorted = largest.toSorted();
    for (const quantile of quantiles) {
      const threshold = sorted[Math.floor(quantile * (sorted.length - 1))]!;
      if (threshold > 0) yield powersOfTwo(largest.map((value) => Math.max(1, value / threshold)));
    }
  }
  const weights = largestWeights(matrices, largest.length);
  for (const alpha of strength === undefined ? strengths : [strength])
    yield powersOfTwo(
      largest.map((value, c) => (value === 0 || weights[c] === 0 ? 0 : value ** alpha / weights[c]! ** (1 - alpha))),
    );
}

/** Powers of two move no bit of a float: dividing and multiplying by them is exact. 0 is a channel that does not matter. */
function powersOfTwo(ratios: Float64Array): Uint8Array {
  const powers = ratios.map((ratio) => (ratio === 0 ? 0 : 2 ** Math.round(Math.log2(ratio))));
  const most = powers.reduce((a, b) => Math.max(a, b), 0);
  if (most === 0) return new Uint8Array(powers.length).fill(1);
  // Only their relation matters, so the smallest is 1; a channel far below the others can as well be coarse.
  const least = powers.reduce((a, b) => (b === 0 ? a : Math.min(a, b)), most);
  const unit = Math.max(least, most / largestScale);
  return Uint8Array.from(powers, (power) => Math.max(1, power / unit));
}

/**
 * Of all outputs of the products at one position: 8-bit activations are off by step²/12 in the square, over the range of a
 * run, and weights by their own step²/12, times what they are multiplied with.
 */
function expectedNoise(
  { runs, meanSquare }: ChannelStatistics,
  matrices: readonly Matrix[],
  norms: Float64Array,
  scales: Uint8Array,
  { perChannel, reduceRange }: SmoothingOptions,
): number {
  let squaredStep = 0;
  for (const { low, high } of runs) {
    let [from, to] = [0, 0];
    for (let c = 0; c < scales.length; c++) {
      from = Math.min(from, low[c]! / scales[c]!);
      to = Math.max(to, high[c]! / scales[c]!);
    }
    squaredStep += ((to - from) / 255) ** 2 / runs.length;
  }
  let [energy, sensitivity] = [0, 0];
  for (let c = 0; c < scales.length; c++) {
    energy += meanSquare[c]! / scales[c]! ** 2;
    sensitivity += norms[c]! * scales[c]! ** 2;
  }
  const limit = integerRange({ type: 'int8', symmetric: true, reduceRange }).max;
  let weightSteps = 0;
  for (const matrix of matrices) {
    const largest = new Float64Array(matrix.outputs);
    eachWeight(matrix, (weight, c, n) => {
      const magnitude = Math.abs(weight) * scales[c]!;
      if (magnitude > largest[n]!) largest[n] = magnitude;
    });
    const overall = largest.reduce((a, b) => Math.max(a, b), 0);
    weightSteps += largest.reduce((sum, value) => sum + ((perChannel ? value : overall) / limit) ** 2, 0);
  }
  return (squaredStep * sensitivity + weightSteps * energy) / 12;
}

function matrixOf({ candidate: { role, weights } }: Product): Matrix {
  const { tensor } = weights[0];
  const isTransposed = role === 'transposed';
  const [rows, columns] = [tensor.dims[0]!, tensor.dims[1]!];
  const [channels, outputs] = isTransposed ? [columns, rows] : [rows, columns];
  return { floats: floatsOf(tensor), channels, outputs, isTransposed };
}

function eachWeight(
  { floats, channels, outputs, isTransposed }: Matrix,
  visit: (weight: number, channel: number, output: number) => void,
): void {
  let at = 0;
  if (isTransposed) for (let n = 0; n < outputs; n++) for (let c = 0; c < channels; c++) visit(floats[at++]!, c, n);
  else for (let c = 0; c < channels; c++) for (let n = 0; n < outputs; n++) visit(floats[at++]!, c, n);
}

function squaredNorms(matrices: readonly Matrix[], channels: number): Float64Array {
  const norms = new Float64Array(channels);
  for (const matrix of matrices) eachWeight(matrix, (weight, c) => (norms[c]! += weight * weight));
  return norms;
}

function largestWeights(matrices: readonly Matrix[], channels: number): Float64Array {
  const largest = new Float64Array(channels);
  for (const matrix of matrices)
    eachWeight(matrix, (weight, c) => (largest[c] = Math.max(largest[c]!, Math.abs(weight))));
  return largest;
}
