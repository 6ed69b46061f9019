import type { ValueRange } from './value-range.ts';

/**
 * Counts of float32 values in equal bins over [-t, t], t = the largest magnitude. As t is known before the first value
 * is counted, the result depends neither on the order of the values nor on how they come in batches, and equals
 * `numpy.histogram` of all values at once, which is what onnxruntime's calibrators bin with.
 */
export interface Histogram {
  readonly counts: Float64Array;
  /** counts.length + 1 float32 values, as `numpy.linspace` rounds them; bin i is [edges[i], edges[i + 1]). */
  readonly edges: Float32Array;
  /** Smallest and largest value counted. */
  readonly observed: ValueRange;
}

/** An empty histogram for values within `observed`. */
export function createHistogram(observed: ValueRange, bins: number): Histogram {
  const reach = Math.max(Math.abs(observed.min), Math.abs(observed.max));
  // numpy widens a range of no width by a half on each side; so do we where bins would be no normal float32.
  const [first, last] = (2 * reach) / bins < 2 ** -126 ? [-0.5, 0.5] : [-reach, reach];
  const step = Math.fround(Math.fround(last - first) / bins);
  const edges = Float32Array.from({ length: bins + 1 }, (_, i) => Math.fround(i * step) + first);
  edges[bins] = last;
  return { counts: new Float64Array(bins), edges, observed };
}

/** Counts values within the histogram's range. Returns the number of values that are not in it, which are not counted. */
export function count({ counts, edges }: Histogram, values: Float32Array): number {
  const bins = counts.length;
  const first = edges[0]!;
  const last = edges[bins]!;
  const perUnit = bins / (last - first);
  let outside = 0;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (!(value >= first && value <= last)) {
      outside++;
      continue;
    }
    let bin = Math.min(bins - 1, Math.floor((value - first) * perUnit));
    // The edges decide; the product above may be one bin off.
    if (value < edges[bin]!) bin--;
    else if (bin < bins - 1 && value >= edges[bin + 1]!) bin++;
    counts[bin]!++;
  }
  return outside;
}
