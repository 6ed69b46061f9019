import { StatsInputError } from './errors.ts';

/**
 * Latencies in fixed buckets, each 2^(1/16) = 4.4 % wider than the last, from 1/16 ms to 131 s: a few hundred counts
 * that add up over replicas and windows, whatever the traffic. Plain JSON.
 */
export interface LatencyHistogram {
  /** Bucket i holds latencies in (`upperEdgeMs(i − 1)`, `upperEdgeMs(i)`]; the first and the last are open. */
  counts: number[];
}

const bucketsPerDoubling = 16;
const lowestPower = -4;
const highestPower = 17;
export const latencyBuckets = (highestPower - lowestPower) * bucketsPerDoubling + 1;

export const emptyLatencyHistogram = (): LatencyHistogram => ({ counts: new Array<number>(latencyBuckets).fill(0) });

/** Upper edge of a bucket in milliseconds; infinite for the last one. */
export const upperEdgeMs = (bucket: number): number =>
  bucket >= latencyBuckets - 1 ? Number.POSITIVE_INFINITY : 2 ** (lowestPower + bucket / bucketsPerDoubling);

/** How many buckets up a latency moves at most when it grows by `factor` ≥ 1. */
export const bucketsOfFactor = (factor: number): number =>
  Math.max(0, Math.ceil(Math.log2(factor) * bucketsPerDoubling - 1e-9));

/** Throws `StatsInputError` unless the latency is a finite number of milliseconds, zero or more. */
export function recordLatency(histogram: LatencyHistogram, latencyMs: number): void {
  if (!(latencyMs >= 0 && latencyMs < Number.POSITIVE_INFINITY))
    throw new StatsInputError(`latencyMs: got ${latencyMs}, expected a finite number, zero or more`);
  const place = Math.ceil((Math.log2(latencyMs) - lowestPower) * bucketsPerDoubling - 1e-9);
  histogram.counts[Math.min(latencyBuckets - 1, Math.max(0, place))]!++;
}

/** Throws `StatsInputError` for a histogram that was made with other buckets, or whose counts are no counts. */
export function requireHistogram(name: string, { counts }: LatencyHistogram): void {
  if (counts.length !== latencyBuckets || !counts.every((count) => Number.isSafeInteger(count) && count >= 0))
    throw new StatsInputError(`${name}: expected ${latencyBuckets} whole counts, zero or more, got ${counts.length}`);
}

/** A new histogram of both; throws `StatsInputError` for other buckets. */
export function mergeLatency(a: LatencyHistogram, b: LatencyHistogram): LatencyHistogram {
  requireHistogram('latency', a);
  requireHistogram('latency', b);
  return { counts: a.counts.map((count, i) => count + b.counts[i]!) };
}

export const latencySamples = ({ counts }: LatencyHistogram): number => counts.reduce((sum, c) => sum + c, 0);

/** Upper edge of the bucket that the quantile lies in; null when the histogram is empty. */
export function latencyQuantileMs(histogram: LatencyHistogram, q: number): number | null {
  const samples = latencySamples(histogram);
  if (samples === 0) return null;
  let seen = 0;
  for (let i = 0; i < latencyBuckets; i++) {
    seen += histogram.counts[i]!;
    if (seen >= q * samples) return i === latencyBuckets - 1 ? upperEdgeMs(i - 1) : upperEdgeMs(i);
  }
  return upperEdgeMs(latencyBuckets - 2);
}

/** For each bucket, how many latencies lie above its upper edge. */
export function latenciesAbove({ counts }: LatencyHistogram): number[] {
  const above = new Array<number>(counts.length);
  let sum = 0;
  for (let i = counts.length - 1; i >= 0; i--) {
    above[i] = sum;
    sum += counts[i]!;
  }
  return above;
}
