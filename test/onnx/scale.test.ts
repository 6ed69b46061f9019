import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { integerRange, quantizationParameters, quantizeValue, roundHalfToEven } from '../../src/onnx/quantize/scale.ts';
import { quantizeMatrix, transposed } from '../../src/onnx/quantize/weight.ts';

const scheme = fc.record({
  type: fc.constantFrom('int8' as const, 'uint8' as const),
  symmetric: fc.boolean(),
  reduceRange: fc.boolean(),
});
const weight = fc.float({ min: -1000, max: 1000, noNaN: true });

describe('onnx/quantize/scale', () => {
  it('rounds ties to even', () => {
    const ties = [-3.5, -2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 3.5, 126.5, 127.5];
    assert.deepEqual(ties.map(roundHalfToEven), [-4, -2, -2, 0, 0, 2, 2, 4, 126, 128]);
    fc.assert(
      fc.property(fc.double({ min: -1e6, max: 1e6, noNaN: true }), (x) => {
        const rounded = roundHalfToEven(x);
        assert.ok(Number.isInteger(rounded) && Math.abs(rounded - x) <= 0.5);
        if (Math.abs(rounded - x) === 0.5) assert.equal(Math.abs(rounded % 2), 0);
      }),
    );
  });

  it('has the ranges of onnxruntime', () => {
    const range = (type: 'int8' | 'uint8', symmetric: boolean, reduceRange: boolean) =>
      Object.values(integerRange({ type, symmetric, reduceRange }));
    assert.deepEqual(range('int8', true, false), [-127, 127]);
    assert.deepEqual(range('int8', false, false), [-128, 127]);
    assert.deepEqual(range('int8', true, true), [-64, 64]);
    assert.deepEqual(range('uint8', false, false), [0, 255]);
    assert.deepEqual(range('uint8', false, true), [0, 127]);
  });

  it('represents zero exactly, keeps the zero point in range, loses at most half a step', () => {
    fc.assert(
      fc.property(scheme, fc.array(weight, { minLength: 1, maxLength: 40 }), (chosen, values) => {
        const { scale, zeroPoint } = quantizationParameters(Math.min(...values), Math.max(...values), chosen);
        const range = integerRange(chosen);
        assert.equal(Math.fround(scale), scale);
        assert.ok(Number.isInteger(zeroPoint) && zeroPoint >= range.min && zeroPoint <= range.max);
        assert.equal(quantizeValue(0, scale, zeroPoint, range), zeroPoint);
        for (const value of values) {
          const back = scale * (quantizeValue(value, scale, zeroPoint, range) - zeroPoint);
          assert.ok(Math.abs(back - value) <= 0.501 * scale, `${value} came back as ${back}, scale ${scale}`);
        }
      }),
    );
  });

  it('gives symmetric int8 zero point 0, symmetric uint8 128', () => {
    assert.equal(quantizationParameters(-3, 1, { type: 'int8', symmetric: true, reduceRange: false }).zeroPoint, 0);
    assert.equal(quantizationParameters(-3, 1, { type: 'uint8', symmetric: true, reduceRange: false }).zeroPoint, 128);
  });
});

describe('onnx/quantize/weight', () => {
  it('keeps every weight within half a step of its channel, inside the range, without NaN', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 6 }),
        fc.integer({ min: 1, max: 6 }),
        fc.constantFrom('row' as const, 'column' as const, 'tensor' as const),
        fc.boolean(),
        fc.infiniteStream(weight),
        (rows, columns, channel, reduceRange, stream) => {
          const weights = Float32Array.from({ length: rows * columns }, () => stream.next().value);
          const { values, scales, error } = quantizeMatrix(weights, [rows, columns], channel, { reduceRange });
          assert.equal(scales.length, { row: rows, column: columns, tensor: 1 }[channel]);
          let maxAbs = 0;
          for (const [i, value] of weights.entries()) {
            const scale = scales[channel === 'row' ? Math.floor(i / columns) : channel === 'column' ? i % columns : 0]!;
            const quantized = values[i]!;
            assert.ok(Math.abs(quantized) <= (reduceRange ? 64 : 127));
            const difference = Math.abs(value - quantized * scale);
            assert.ok(difference <= 0.50001 * scale, `${value} → ${quantized} × ${scale}`);
            maxAbs = Math.max(maxAbs, difference);
          }
          assert.equal(error.maxAbs, maxAbs);
          assert.ok(error.sqnrDb === null ? maxAbs === 0 : Number.isFinite(error.sqnrDb));
        },
      ),
    );
  });

  it('uses the ends of the range', () => {
    const { values } = quantizeMatrix(Float32Array.of(-2, 0, 2), [1, 3], 'row', { reduceRange: false });
    assert.deepEqual([...values], [-127, 0, 127]);
    const reduced = quantizeMatrix(Float32Array.of(-2, 0, 2), [1, 3], 'row', { reduceRange: true });
    assert.deepEqual([...reduced.values], [-64, 0, 64]);
  });

  it('survives a channel of zeros and one of denormals', () => {
    const { values, scales, error } = quantizeMatrix(Float32Array.of(0, 1e-40, 0, -1e-41), [2, 2], 'column', {
      reduceRange: false,
    });
    assert.deepEqual([...scales], [1, 1]);
    assert.deepEqual([...values], [0, 0, 0, 0]);
    assert.ok(error.maxAbs < 1e-39);
    const zeros = quantizeMatrix(new Float32Array(4), [2, 2], 'tensor', { reduceRange: false });
    assert.deepEqual(zeros.error, { maxAbs: 0, sqnrDb: null });
  });

  it('confines an outlier to its channel, which one scale for all cannot', () => {
    const weights = Float32Array.of(0.008, 100, -0.02, 50, 0.015, -75); // column 1 is the outlier
    const perChannel = quantizeMatrix(weights, [3, 2], 'column', { reduceRange: false });
    const perTensor = quantizeMatrix(weights, [3, 2], 'tensor', { reduceRange: false });
    assert.deepEqual(
      [...perTensor.values].filter((_, i) => i % 2 === 0),
      [0, 0, 0],
    );
    assert.deepEqual(
      [...perChannel.values].filter((_, i) => i % 2 === 0),
      [51, -127, 95],
    );
  });

  it('transposes', () => {
    assert.deepEqual([...transposed(Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3])], [1, 4, 2, 5, 3, 6]);
  });
});

describe('7-bit weights', () => {
  /** VPMADDUBSW: products of u8 and s8 in pairs, each pair's sum clamped to int16; pairs add up in 32 bits. */
  const saturatingDot = (activations: readonly number[], weights: Int8Array): number => {
    let sum = 0;
    for (let i = 0; i < weights.length; i += 2) {
      const pair = activations[i]! * weights[i]! + activations[i + 1]! * weights[i + 1]!;
      sum += Math.max(-32_768, Math.min(32_767, pair));
    }
    return sum;
  };
  const exactDot = (activations: readonly number[], weights: Int8Array): number =>
    weights.reduce((sum, value, i) => sum + value * activations[i]!, 0);
  /** Constructed to saturate: large weights of one sign next to each other under the largest activation. */
  const column = Float32Array.of(1, 1, 0.98, 0.99, -1, -1, 0.1, -0.3);
  const brightest = column.map(() => 255);

  it('keep int16 sums exact where 8 bits saturate', () => {
    const full = quantizeMatrix(column, [8, 1], 'column', { reduceRange: false }).values;
    const reduced = quantizeMatrix(column, [8, 1], 'column', { reduceRange: true }).values;
    assert.notEqual(saturatingDot([...brightest], full), exactDot([...brightest], full), 'the fault has to show');
    assert.equal(saturatingDot([...brightest], reduced), exactDot([...brightest], reduced));
  });

  it('can never saturate, whatever the weights', () => {
    fc.assert(
      fc.property(
        fc.array(weight, { minLength: 8, maxLength: 8 }),
        fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 8, maxLength: 8 }),
        (weights, activations) => {
          const { values } = quantizeMatrix(Float32Array.from(weights), [8, 1], 'column', { reduceRange: true });
          assert.equal(saturatingDot(activations, values), exactDot(activations, values));
        },
      ),
    );
  });
});
