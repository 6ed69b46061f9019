import {
  bucketsOfFactor,
  type LatencyHistogram,
  latenciesAbove,
  latencyBuckets,
  latencySamples,
  upperEdgeMs,
} from './latency-histogram.ts';
import { type Trials, tooOften, tooRarely } from './sequential.ts';

/**
 * ln e against "the candidate's q-quantile is at most (1 + relative) times the other's". Wherever the other's quantile x
 * lies, the null says that the candidate exceeds (1 + relative)·x with probability at most 1 − q, and that the other
 * exceeds x with no less: the mean of the two e-values is one, and its least value over all buckets needs no guess at x.
 * For fixed x this is the quantile confidence sequence of S. Howard and A. Ramdas, "Sequential estimation of quantiles
 * with applications to A/B testing and best-arm identification", Bernoulli 28 (2022) 1704–1728. Buckets are rounded so
 * that they never add evidence.
 */
export function latencyEvidence(
  candidate: LatencyHistogram,
  other: LatencyHistogram,
  { quantile, relative }: { quantile: number; relative: number },
): number {
  const shift = bucketsOfFactor(1 + relative);
  const often = perBucket(candidate, (above) => tooOften(above, 1 - quantile));
  const rarely = perBucket(other, (above) => tooRarely(above, 1 - quantile));
  let least = Number.POSITIVE_INFINITY;
  for (let bucket = 0; bucket < latencyBuckets; bucket++) {
    // The quantile lies in this bucket: above the edge below it, at or under the edge above it.
    const above = often[Math.min(latencyBuckets - 1, bucket + shift)]!;
    const below = bucket === 0 ? Number.NEGATIVE_INFINITY : rarely[bucket - 1]!;
    least = Math.min(least, logMean(above, below));
  }
  return least;
}

/** Bounds of a quantile in milliseconds that hold at all times, each with error 1/e^`threshold`; null when open. */
export function latencyQuantileBounds(
  histogram: LatencyHistogram,
  quantile: number,
  threshold: number,
): { lowerMs: number | null; upperMs: number | null } {
  const lower = perBucket(histogram, (above) => tooOften(above, 1 - quantile)).findLastIndex((e) => e >= threshold);
  const upper = perBucket(histogram, (above) => tooRarely(above, 1 - quantile)).findIndex((e) => e >= threshold);
  return {
    lowerMs: lower >= 0 ? upperEdgeMs(lower) : null,
    upperMs: upper >= 0 && upper < latencyBuckets - 1 ? upperEdgeMs(upper) : null,
  };
}

/** Evidence from the latencies above each bucket's upper edge. Most buckets share their count with the next one. */
function perBucket(histogram: LatencyHistogram, evidence: (above: Trials) => number): number[] {
  const trials = latencySamples(histogram);
  const known = new Map<number, number>();
  return latenciesAbove(histogram).map((events) => {
    const e = known.get(events) ?? evidence({ trials, events });
    known.set(events, e);
    return e;
  });
}

function logMean(x: number, y: number): number {
  const most = Math.max(x, y);
  if (!Number.isFinite(most)) return most;
  return most + Math.log((Math.exp(x - most) + Math.exp(y - most)) / 2);
}
