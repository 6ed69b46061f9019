import type { ConfidenceCurve } from './confidence.ts';
import { normalCdf, normalQuantile } from './distributions.ts';
import { resampleCounts, resamples } from './resampling.ts';
import type { WeightedMetric } from './weighted-metrics.ts';

/** Blocks of the jackknife: the acceleration is a skewness over rows, which sums over blocks leave as it is. */
const jackknifeBlocks = 200;
/** A metric that is undefined in more than this share of the resamples has too few rows of some class to be bounded. */
const undefinedShareAllowed = 0.05;

/**
 * BCa bootstrap (B. Efron, "Better bootstrap confidence intervals", JASA 82 (1987) 171–185): second-order accurate and
 * unchanged by monotone transformations, where the plain percentile interval is off for skewed metrics. Rows are
 * resampled as a whole, so for a paired difference both models keep their answers to the same row. `undefined` where
 * the metric is.
 */
export function bootstrapCurve(rows: number, metric: WeightedMetric): ConfidenceCurve | undefined {
  const estimate = metric(new Uint8Array(rows).fill(1));
  if (!Number.isFinite(estimate)) return undefined;
  const replicates = replicatesOf(rows, metric);
  if (replicates.length < resamples * (1 - undefinedShareAllowed)) return undefined;

  const bias = normalQuantile(clamp(shareBelow(replicates, estimate), replicates.length));
  const acceleration = accelerationOf(rows, metric, estimate);
  /** Where the confidence distribution has the level p, as a level of the bootstrap distribution. */
  const adjusted = (p: number) => {
    const z = bias + normalQuantile(p);
    const slowed = 1 - acceleration * z;
    return slowed > 0 ? normalCdf(bias + z / slowed) : z > 0 ? 1 : 0;
  };
  const quantile = (p: number) => quantileOf(replicates, adjusted(p));
  /** The level of the confidence distribution at `limit`: the inverse of `quantile`. */
  const level = (limit: number) => {
    const w = normalQuantile(clamp(shareBelow(replicates, limit), replicates.length)) - bias;
    const quickened = 1 + acceleration * w;
    return quickened > 0 ? normalCdf(w / quickened - bias) : w > 0 ? 1 : 0;
  };
  return {
    estimate,
    rows,
    variancePerRow: varianceOf(replicates) * rows,
    lower: (alpha) => quantile(alpha),
    upper: (alpha) => quantile(1 - alpha),
    pBelow: (limit) => 1 - level(limit),
    pAbove: (limit) => level(limit),
  };
}

/** The metric on each resample, sorted; resamples on which it is undefined are left out. */
function replicatesOf(rows: number, metric: WeightedMetric): Float64Array {
  const values = new Float64Array(resamples);
  let defined = 0;
  for (const counts of resampleCounts(rows)) {
    const value = metric(counts);
    if (Number.isFinite(value)) values[defined++] = value;
  }
  return values.subarray(0, defined).sort();
}

function accelerationOf(rows: number, metric: WeightedMetric, estimate: number): number {
  const blocks = Math.min(rows, jackknifeBlocks);
  const weights = new Uint8Array(rows).fill(1);
  const influence: number[] = [];
  for (let block = 0; block < blocks; block++) {
    for (let i = block; i < rows; i += blocks) weights[i] = 0;
    const value = metric(weights);
    if (Number.isFinite(value)) influence.push(value);
    for (let i = block; i < rows; i += blocks) weights[i] = 1;
  }
  const mean = influence.reduce((sum, v) => sum + v, 0) / influence.length;
  let squares = 0;
  let cubes = 0;
  for (const v of influence) {
    squares += (mean - v) ** 2;
    cubes += (mean - v) ** 3;
  }
  // Differences in the last bits are no skewness.
  if (!(squares > lastBits(estimate) ** 2)) return 0;
  return cubes / (6 * squares ** 1.5);
}

const lastBits = (x: number): number => 1e-12 * Math.max(1, Math.abs(x));

/** Share of replicates below x, ties counted half. Numbers that differ in their last bits only are a tie. */
function shareBelow(sorted: Float64Array, x: number): number {
  const tolerance = lastBits(x);
  let below = 0;
  let equal = 0;
  for (const v of sorted) {
    if (v < x - tolerance) below++;
    else if (v <= x + tolerance) equal++;
    else break;
  }
  return (below + equal / 2) / sorted.length;
}

/** Half a resample away from certainty at least: 2,000 resamples never show that something is impossible. */
const clamp = (share: number, count: number) => Math.min(1 - 0.5 / count, Math.max(0.5 / count, share));

/** Linear between order statistics, R's type 7. */
function quantileOf(sorted: Float64Array, p: number): number {
  const place = p * (sorted.length - 1);
  const below = Math.floor(place);
  const low = sorted[below]!;
  const high = sorted[Math.min(sorted.length - 1, below + 1)]!;
  return low + (high - low) * (place - below);
}

function varianceOf(values: Float64Array): number {
  const mean = values.reduce((sum, v) => sum + v, 0) / values.length;
  return values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / Math.max(1, values.length - 1);
}
