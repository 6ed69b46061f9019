import { createHistogram, type Histogram } from './histogram.ts';
import { mseRange } from './mse.ts';
import { percentileRange } from './percentile.ts';
import type { ValueRange } from './value-range.ts';

/**
 * How a range follows from the values that calibration rows showed.
 * - `minMax`: all of them; one pass over the rows, the others take two.
 * - `percentile`: all but (100 − percentile)/2 % at each end; default 99.999, as in onnxruntime.
 * - `mse`: the one with the least squared error.
 */
export type CalibrationMethod =
  | { readonly method: 'minMax' }
  | { readonly method: 'percentile'; readonly percentile?: number }
  | { readonly method: 'mse' };

/** Bins of a method's histograms; undefined for a method that needs none. */
export function binsOf({ method }: CalibrationMethod): number | undefined {
  // 2048 is onnxruntime's number. The squared error wants several bins per step of the integers: 16 of each of 255 steps.
  return { minMax: undefined, percentile: 2048, mse: 8192 }[method];
}

export function rangeOf(
  histogram: Histogram,
  calibration: Exclude<CalibrationMethod, { method: 'minMax' }>,
): ValueRange {
  if (calibration.method === 'mse') return mseRange(histogram);
  return percentileRange(histogram, calibration.percentile ?? 99.999);
}

/** Histograms for a method over values whose smallest and largest are known. */
export function histogramsFor(
  calibration: CalibrationMethod,
  observed: ReadonlyMap<string, ValueRange>,
): Map<string, Histogram> | undefined {
  const bins = binsOf(calibration);
  if (bins === undefined) return undefined;
  return new Map([...observed].map(([value, range]) => [value, createHistogram(range, bins)]));
}
