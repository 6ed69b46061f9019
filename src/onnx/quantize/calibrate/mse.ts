import { integerRange, quantizationParameters, quantizeValue } from '../scale.ts';
import type { Histogram } from './histogram.ts';
import type { ValueRange } from './value-range.ts';

/** Steps of the search over each end of the range, from nothing to everything that was observed. */
const steps = 64;

/**
 * The range with the least sum of squared quantization errors: clipping a few large values costs less than coarse steps
 * for all. Each end is searched by itself, the other held, until neither moves (coordinate descent; a range that starts
 * at zero, as behind a Relu, has one end only). Errors are those of bin centres. The idea is that of TensorRT's and
 * PyTorch's MSE observers; onnxruntime has none.
 */
export function mseRange(histogram: Histogram): ValueRange {
  const { observed } = histogram;
  const bins = filledBins(histogram);
  const low = Math.min(observed.min, 0);
  const high = Math.max(observed.max, 0);
  const rangeAt = (lowStep: number, highStep: number): ValueRange => ({
    min: low * (lowStep / steps),
    max: high * (highStep / steps),
  });
  let [lowStep, highStep] = [steps, steps];
  let least = squaredError(bins, rangeAt(lowStep, highStep));
  for (let moved = true; moved; ) {
    moved = false;
    for (let step = 1; step <= steps; step++) {
      for (const [l, h] of [
        [step, highStep],
        [lowStep, step],
      ] as const) {
        const error = squaredError(bins, rangeAt(l, h));
        if (error < least) {
          [lowStep, highStep, least, moved] = [l, h, error, true];
        }
      }
    }
  }
  return rangeAt(lowStep, highStep);
}

interface Bins {
  readonly centres: Float64Array;
  readonly counts: Float64Array;
}

function filledBins({ counts, edges, observed }: Histogram): Bins {
  const filled = [...counts.keys()].filter((bin) => counts[bin]! > 0);
  return {
    // Zeros behind a Relu fill a bin of their own; its centre would count them as an error that does not exist.
    centres: Float64Array.from(filled, (bin) => {
      const [from, to] = [Math.max(edges[bin]!, observed.min), Math.min(edges[bin + 1]!, observed.max)];
      return from <= 0 && to >= 0 ? 0 : (from + to) / 2;
    }),
    counts: Float64Array.from(filled, (bin) => counts[bin]!),
  };
}

/** Sum over all values of (x − x̂)², for 8-bit activations over the range. */
function squaredError({ centres, counts }: Bins, { min, max }: ValueRange): number {
  const scheme = { type: 'uint8', symmetric: false, reduceRange: false } as const;
  const { scale, zeroPoint } = quantizationParameters(min, max, scheme);
  const range = integerRange(scheme);
  let sum = 0;
  for (let i = 0; i < centres.length; i++) {
    const value = centres[i]!;
    const back = scale * (quantizeValue(value, scale, zeroPoint, range) - zeroPoint);
    sum += counts[i]! * (value - back) ** 2;
  }
  return sum;
}
