export interface LatencySummary {
  p50Ms: number;
  p95Ms: number;
  p99Ms: number;
  samples: number;
}

/** Nearest-rank percentiles: each is a latency that was really measured. @param latenciesMs at least one */
export function summariseLatencies(latenciesMs: readonly number[]): LatencySummary {
  const sorted = [...latenciesMs].sort((a, b) => a - b);
  const rank = (share: number): number => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]!;
  return { p50Ms: rank(0.5), p95Ms: rank(0.95), p99Ms: rank(0.99), samples: sorted.length };
}
