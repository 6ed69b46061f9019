import { entropyRange } from './entropy.ts';
import { createHistogram, type Histogram } from './histogram.ts';
import { mseRange } from './mse.ts';
import { percentileRange } from './percentile.ts';
import type { ValueRange } from './value-range.ts';

/**
 * How a range follows from the values that calibration rows showed.
 * - `minMax`: all of them; one pass over the rows, the others take two.
 * - `percentile`: all but (100 − percentile)/2 % at each end; default 99.999, as in onnxruntime.
 * - `mse`: the one with the least squared error.
 * - `entropy`: the window around zero whose coarse counts tell least from all of them.
 */
export type CalibrationMethod =
  | { readonly method: 'minMax' }
  | { readonly method: 'percentile'; readonly percentile?: number }
  | { readonly method: 'mse' }
  | { readonly method: 'entropy' };

type CountingMethod = Exclude<CalibrationMethod, { method: 'minMax' }>;

/** Whether the method counts values, in a second pass. */
export const needsHistograms = (calibration: CalibrationMethod): calibration is CountingMethod =>
  calibration.method !== 'minMax';

/** 2048 is onnxruntime's number (of `percentile`) and TensorRT's. The squared error wants several bins per step: 16 for each of 255 behind a Relu. */
const binsOf = { percentile: 2048, mse: 8192, entropy: 2048 } as const;

/** Empty histograms over values whose smallest and largest are known. */
export function histogramsFor(
  { method }: CountingMethod,
  extremes: ReadonlyMap<string, ValueRange>,
): Map<string, Histogram> {
  return new Map([...extremes].map(([value, range]) => [value, createHistogram(range, binsOf[method])]));
}

export function rangeOf(histogram: Histogram, calibration: CountingMethod): ValueRange {
  if (calibration.method === 'mse') return mseRange(histogram);
  if (calibration.method === 'entropy') return entropyRange(histogram);
  return percentileRange(histogram, calibration.percentile ?? 99.999);
}
