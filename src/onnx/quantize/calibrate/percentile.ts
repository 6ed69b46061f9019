import type { Histogram } from './histogram.ts';
import type { ValueRange } from './value-range.ts';

/**
 * The range that leaves out (100 − percentile)/2 % of the values at each end, never wider than what was observed: the
 * calibrator `Percentile` of onnxruntime 1.30, bit for bit.
 */
export function percentileRange({ counts, edges, observed }: Histogram, percentile: number): ValueRange {
  const total = counts.reduce((sum, value) => sum + value, 0);
  const cut = (100 - percentile) / 200;
  let cumulated = 0;
  let left: number | undefined;
  let right: number | undefined;
  for (const [bin, value] of counts.entries()) {
    cumulated += value / total;
    if (left === undefined && cumulated >= cut) left = bin;
    if (right === undefined && cumulated >= 1 - cut) right = bin;
  }
  // The sum of the shares may end a little below 1.
  const [from, to] = [edges[left ?? counts.length]!, edges[right ?? counts.length]!];
  return { min: Math.max(from, observed.min), max: Math.min(to, observed.max) };
}
