import { cpus, loadavg } from 'node:os';

export interface Spread {
  median: number;
  least: number;
  most: number;
  p95: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!;
  return { median: at(0.5), least: sorted[0]!, most: sorted.at(-1)!, p95: at(0.95) };
}

/** Median of the slopes of all pairs (P. K. Sen, JASA 63 (1968) 1379–1389): a few jumps do not turn it. */
export function slope(points: readonly { x: number; y: number }[]): number {
  const slopes = points.flatMap((a, i) => points.slice(i + 1).map((b) => (b.y - a.y) / (b.x - a.x)));
  return spread(slopes).median;
}

export const machine = () => ({
  cpu: cpus()[0]?.model,
  cores: cpus().length,
  node: process.version,
  loadAverage: loadavg()[0],
});
