import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { count, createHistogram, type Histogram } from '../../src/onnx/quantize/calibrate/histogram.ts';
import { mseRange } from '../../src/onnx/quantize/calibrate/mse.ts';
import { percentileRange } from '../../src/onnx/quantize/calibrate/percentile.ts';
import type { ValueRange } from '../../src/onnx/quantize/calibrate/value-range.ts';
import { integerRange, quantizationParameters, quantizeValue } from '../../src/onnx/quantize/scale.ts';
import { seededRandom } from './run.ts';

const value = fc.float({ min: -1000, max: 1000, noNaN: true }).map((x) => (Math.abs(x) < 1e-20 ? 0 : x));
const values = fc.array(value, { minLength: 1, maxLength: 300 }).map((list) => Float32Array.from(list));

const extremes = (of: Float32Array): ValueRange => ({
  min: of.reduce((a, b) => Math.min(a, b)),
  max: of.reduce((a, b) => Math.max(a, b)),
});
function histogramOf(of: Float32Array, bins: number): Histogram {
  const histogram = createHistogram(extremes(of), bins);
  assert.equal(count(histogram, of), 0);
  return histogram;
}
const total = ({ counts }: Histogram): number => counts.reduce((sum, bin) => sum + bin, 0);

/** Mean of (x − x̂)² when x is quantized to uint8 over the range. */
function meanSquaredError(of: Float32Array, { min, max }: ValueRange): number {
  const scheme = { type: 'uint8', symmetric: false, reduceRange: false } as const;
  const { scale, zeroPoint } = quantizationParameters(min, max, scheme);
  const back = (x: number): number => scale * (quantizeValue(x, scale, zeroPoint, integerRange(scheme)) - zeroPoint);
  return of.reduce((sum, x) => sum + (x - back(x)) ** 2, 0) / of.length;
}

/** Normal numbers and, one in a hundred, numbers `wide` times as large. */
function heavyTailed(size: number, wide: number, seed: number): Float32Array {
  const random = seededRandom(seed);
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Float32Array.from({ length: size }, (_, i) => normal() * (i % 100 === 0 ? wide : 1));
}

describe('onnx/quantize/calibrate: histogram', () => {
  it('counts every value in the bin whose edges enclose it', () => {
    fc.assert(
      fc.property(values, fc.integer({ min: 1, max: 40 }), (list, bins) => {
        const { counts, edges } = histogramOf(list, bins);
        const expected = new Float64Array(bins);
        for (const x of list) {
          const bin = [...counts.keys()].findLast((at) => edges[at]! <= x);
          expected[bin!]!++;
        }
        assert.deepEqual(counts, expected);
      }),
    );
  });

  it('does not depend on how the values come in batches, nor on their order', () => {
    fc.assert(
      fc.property(values, fc.nat(299), (list, cut) => {
        const whole = histogramOf(list, 64);
        const parts = createHistogram(extremes(list), 64);
        count(parts, list.slice(cut));
        count(parts, list.slice(0, cut));
        assert.deepEqual(parts.counts, whole.counts);
      }),
    );
  });

  it('counts zeros alone, and says how many values it cannot count', () => {
    const zeros = histogramOf(new Float32Array(7), 2048);
    assert.equal(total(zeros), 7);
    assert.deepEqual(percentileRange(zeros, 99.999), { min: 0, max: 0 });
    assert.deepEqual(mseRange(zeros), { min: 0, max: 0 });
    const histogram = createHistogram({ min: -1, max: 2 }, 16);
    assert.equal(count(histogram, Float32Array.of(Number.NaN, Number.POSITIVE_INFINITY, 3, -2, 1)), 3);
    assert.equal(total(histogram), 2);
  });
});

describe('onnx/quantize/calibrate: percentile', () => {
  it('stays within what was observed, widens with the percentile, leaves out no more than asked', () => {
    const percentile = fc.double({ min: 60, max: 100, noNaN: true });
    fc.assert(
      fc.property(values, percentile, percentile, (list, a, b) => {
        const histogram = histogramOf(list, 2048);
        const [narrow, wide] = [Math.min(a, b), Math.max(a, b)].map((p) => percentileRange(histogram, p));
        const observed = extremes(list);
        for (const range of [narrow!, wide!]) assert.ok(observed.min <= range.min && range.max <= observed.max);
        assert.ok(wide!.min <= narrow!.min && narrow!.max <= wide!.max);
        // Ends fall on edges of bins, so up to a bin's width of values more may be cut at the upper end.
        const binWidth = histogram.edges[1]! - histogram.edges[0]!;
        const cutAbove = list.filter((x) => x > wide!.max + binWidth * 1.001).length;
        assert.ok(cutAbove <= list.length * ((100 - Math.max(a, b)) / 200) + 1e-6, `${cutAbove} of ${list.length}`);
      }),
    );
  });

  it('cuts an outlier off that min-max keeps', () => {
    const list = Float32Array.from({ length: 10_001 }, (_, i) => (i === 0 ? 1000 : (i % 100) / 100));
    const { max } = percentileRange(histogramOf(list, 2048), 99.9);
    assert.ok(max < 2, `max ${max}`);
  });
});

describe('onnx/quantize/calibrate: mse', () => {
  it('has no more error than min-max and percentile, on heavy tails much less', () => {
    for (const [wide, seed] of [
      [1, 1],
      [5, 2],
      [20, 3],
      [60, 4],
    ] as const) {
      const list = heavyTailed(20_000, wide, seed);
      const error = (range: ValueRange): number => meanSquaredError(list, range);
      const histogram = histogramOf(list, 8192);
      const [mse, minMax] = [error(mseRange(histogram)), error(extremes(list))];
      const percentile = error(percentileRange(histogramOf(list, 2048), 99.999));
      // The search sees bins and 64 steps of the range, not the numbers themselves.
      assert.ok(mse <= minMax * 1.02, `tails ×${wide}: ${mse} against min-max ${minMax}`);
      assert.ok(mse <= percentile * 1.02, `tails ×${wide}: ${mse} against percentile ${percentile}`);
    }
  });

  it('clips one value that would coarsen the steps of a million', () => {
    const list = Float32Array.from({ length: 1_000_000 }, (_, i) => (i === 0 ? 3 : (i % 4096) / 4096));
    const range = mseRange(histogramOf(list, 8192));
    assert.ok(range.min === 0 && range.max < 1.6, `${range.min} to ${range.max}`);
    assert.ok(meanSquaredError(list, range) < 0.5 * meanSquaredError(list, extremes(list)));
  });

  it('keeps a range that is used evenly', () => {
    const list = Float32Array.from({ length: 4096 }, (_, i) => i / 4096);
    const { min, max } = mseRange(histogramOf(list, 8192));
    assert.ok(min === 0 && max > 0.98, `${min} to ${max}`);
  });
});
