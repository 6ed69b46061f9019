import { emptyLatencyHistogram, type LatencyHistogram, recordLatency } from '../../src/stats/latency-histogram.ts';
import type { Random } from '../../src/stats/random.ts';
import { normalSample } from '../../test/stats/simulate.ts';

/** Ten requests a second over both variants: what Flagger's own example sends. */
export const requestsPerMinute = 600;

export interface Truth {
  /** Share of requests that fail on the stable version. */
  stableErrorRate: number;
  candidateErrorRate: number;
}

/** How one rollout went. */
export interface Ended {
  outcome: 'rolledBack' | 'timedOut' | 'promoted';
  minutes: number;
  /** Requests that the candidate answered, and how many of them failed. */
  requests: number;
  errors: number;
  /** Steps that were judged. */
  steps: number;
}

export interface Counts {
  requests: number;
  errors: number;
  latency: LatencyHistogram;
}

export const noCounts = (): Counts => ({ requests: 0, errors: 0, latency: emptyLatencyHistogram() });

/** Latencies of both variants: log-normal, median 5 ms, one in a hundred above 16 ms; as buckets, drawn beforehand. */
export function latencyBuckets(random: Random): number[] {
  return Array.from({ length: 4_096 }, () => {
    const one = emptyLatencyHistogram();
    recordLatency(one, 5 * Math.exp(0.5 * normalSample(random)));
    return one.counts.indexOf(1);
  });
}
