/** Counts of equal bins over [low, high]. */
export interface Histogram {
  readonly low: number;
  readonly high: number;
  readonly counts: readonly number[];
}
export interface ActivationHistogram extends Histogram {
  readonly activation: string;
  /** The int8 nodes that read it. */
  readonly nodes: readonly string[];
}

const bins = 64;

/** Bins of values that come in parts: a range around zero doubles when it is too small, and pairs of bins become one. */
export class GrowingHistogram {
  private reach = 0;
  private counts = new Float64Array(2 * bins);
  private low = Number.POSITIVE_INFINITY;
  private high = Number.NEGATIVE_INFINITY;

  add(values: Float32Array): void {
    for (const value of values) {
      if (!Number.isFinite(value)) continue;
      if (value < this.low) this.low = value;
      if (value > this.high) this.high = value;
      const magnitude = Math.abs(value);
      if (magnitude > this.reach) this.grow(magnitude);
      const at = this.reach === 0 ? bins : Math.floor((value / this.reach + 1) * bins);
      this.counts[Math.min(2 * bins - 1, at)]! += 1;
    }
  }

  /** The bins from the smallest to the largest value; undefined when there were none. */
  histogram(): Histogram | undefined {
    if (this.low > this.high) return undefined;
    const width = this.reach / bins;
    const first = width === 0 ? bins : Math.floor(this.low / width) + bins;
    const last = width === 0 ? bins : Math.min(2 * bins - 1, Math.floor(this.high / width) + bins);
    const counts = [...this.counts.subarray(first, last + 1)];
    return { low: (first - bins) * width, high: (last + 1 - bins) * width, counts };
  }

  private grow(magnitude: number): void {
    if (this.reach === 0) {
      // All values so far were zero: they lie right of the middle.
      this.reach = 2 ** Math.ceil(Math.log2(magnitude));
      return;
    }
    while (this.reach < magnitude) {
      const merged = new Float64Array(2 * bins);
      for (let i = 0; i < 2 * bins; i++) merged[bins / 2 + (i >> 1)]! += this.counts[i]!;
      this.counts = merged;
      this.reach *= 2;
    }
  }
}

/** Of a weight that lies in memory. */
export function histogramOf(values: Float32Array): Histogram | undefined {
  const histogram = new GrowingHistogram();
  histogram.add(values);
  return histogram.histogram();
}
