import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { entropyRange } from '../../../src/onnx/quantize/calibrate/entropy.ts';
import { count, createHistogram } from '../../../src/onnx/quantize/calibrate/histogram.ts';
import type { ValueRange } from '../../../src/onnx/quantize/calibrate/value-range.ts';
import { seededRandom } from '../run.ts';

function rangeOf(values: Float32Array): ValueRange & { observed: ValueRange } {
  const observed = { min: Math.min(...values), max: Math.max(...values) };
  const histogram = createHistogram(observed, 2048);
  assert.equal(count(histogram, values), 0);
  return { ...entropyRange(histogram), observed };
}

/** Normal numbers; one in a thousand is `wide` times as large. */
function tailed(wide: number): Float32Array {
  const random = seededRandom(4);
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Float32Array.from({ length: 20_000 }, (_, i) => normal() * (i % 1000 === 0 ? wide : 1));
}

describe('onnx/quantize/calibrate: entropy', () => {
  it('stays within what was observed, whatever was', () => {
    const value = fc.float({ min: -1000, max: 1000, noNaN: true }).map((x) => (Math.abs(x) < 1e-20 ? 0 : x));
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 40 }), (list) => {
        const { min, max, observed } = rangeOf(Float32Array.from(list));
        assert.ok(observed.min <= min && max <= observed.max && min <= max, `${min} to ${max}`);
      }),
      { numRuns: 10, seed: 3 },
    );
  });

  it('cuts rare large values off and keeps the many', () => {
    const { min, max, observed } = rangeOf(tailed(40));
    assert.ok(observed.max > 30);
    assert.ok(max > 2.5 && max < observed.max / 2, `${min} to ${max}, of ${observed.min} to ${observed.max}`);
    assert.ok(min < -2.5 && min > observed.min / 2, `${min}`);
  });

  it('grows with its values', () => {
    const [one, four] = [rangeOf(tailed(40)), rangeOf(tailed(40).map((value) => 4 * value))];
    assert.deepEqual([4 * one.min, 4 * one.max], [four.min, four.max]);
  });
});
