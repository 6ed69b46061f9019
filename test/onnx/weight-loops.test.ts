import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import {
  type LossSums,
  largestMagnitude,
  loopsFor,
  makeVectorLoops,
  plainLoops,
} from '../../src/onnx/quantize/weight-loops.ts';
import { bytesOfFloats } from '../../src/onnx/quantize/weight-values.ts';
import { tensorOf } from '../../src/onnx/tensor.ts';

const noLoss = (): LossSums => ({ maxAbs: 0, signal: 0, noise: 0 });

describe('onnx/quantize/weight-loops', () => {
  const vector = makeVectorLoops();

  it('has vectors on this engine, and takes them where widths allow', () => {
    assert.ok(vector, 'Node 20 runs WebAssembly with 128-bit vectors');
    assert.equal(loopsFor(384 * 384, 384, 384) === plainLoops, false);
    assert.equal(loopsFor(384, 384, 1) === plainLoops, false);
    assert.equal(loopsFor(3 * 100, 3, 3), plainLoops);
    assert.equal(loopsFor(40_000 * 4, 40_000, 40_000), plainLoops, 'more channels than there is room for');
  });

  it('gives the integers and the largest of the plain loops, bit for bit, and the same loss', () => {
    const bits = fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 });
    // Any float32 but infinities and NaN, which the plan refuses, of very different size, and halves, which are ties.
    const weight = fc.oneof(
      bits.map((value) => new Float32Array(Int32Array.of(value).buffer)[0]!).filter((x) => Math.abs(x) <= 2 ** 126),
      fc.integer({ min: -255, max: 255 }).map((x) => x / 2),
      fc.constantFrom(0, -0, 1e-45, -1e-40),
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 12 }).map((quads) => 4 * quads),
        fc.integer({ min: 1, max: 9 }),
        fc.boolean(),
        fc.constantFrom(64, 127),
        fc.infiniteStream(weight),
        (columns, rows, perColumn, limit, stream) => {
          const weights = Float32Array.from({ length: rows * columns }, () => stream.next().value);
          const channels = perColumn ? columns : 1;
          const [a, b] = [new Float32Array(channels), new Float32Array(channels)];
          plainLoops.largest(bytesOfFloats(weights), columns, a);
          vector!.largest(bytesOfFloats(weights), columns, b);
          assert.deepEqual(b, a);
          const scales = a.map((largest) => (largest / limit < 2 ** -126 ? 1 : largest / limit));
          const [plain, fast] = [new Int8Array(weights.length), new Int8Array(weights.length)];
          const [lossA, lossB] = [noLoss(), noLoss()];
          plainLoops.quantize(plain, bytesOfFloats(weights), columns, scales, limit, lossA);
          vector!.quantize(fast, bytesOfFloats(weights), columns, scales, limit, lossB);
          assert.deepEqual(fast, plain);
          assert.equal(lossB.maxAbs, lossA.maxAbs);
          for (const sum of ['signal', 'noise'] as const)
            assert.ok(Math.abs(lossB[sum] - lossA[sum]) <= 1e-12 * Math.max(lossA.signal, 1e-300), sum);
        },
      ),
      { numRuns: 400, seed: 4 },
    );
  });

  it('goes over weights larger than its window, in rows and as one', () => {
    for (const [rows, columns] of [
      [300, 384],
      [3, 32_768],
      [1, 131_076],
    ] as const) {
      const weights = Float32Array.from({ length: rows * columns }, (_, i) => Math.sin(i * 7.1) * (1 + (i % columns)));
      for (const channels of columns > 32_768 ? [1] : [1, columns]) {
        const [a, b] = [new Float32Array(channels), new Float32Array(channels)];
        plainLoops.largest(bytesOfFloats(weights), columns, a);
        vector!.largest(bytesOfFloats(weights), columns, b);
        assert.deepEqual(b, a);
        const scales = a.map((largest) => largest / 127);
        const [plain, fast] = [new Int8Array(weights.length), new Int8Array(weights.length)];
        plainLoops.quantize(plain, bytesOfFloats(weights), columns, scales, 127, noLoss());
        vector!.quantize(fast, bytesOfFloats(weights), columns, scales, 127, noLoss());
        assert.deepEqual(fast, plain);
      }
    }
  });

  it('finds the largest of a tensor wherever its bytes lie, in any width and in float16', () => {
    for (const count of [3, 64, 70_000]) {
      const values = Float32Array.from({ length: count }, (_, i) => Math.sin(i * 3.7) * (i === count - 1 ? -9 : 1));
      const bytes = new Uint8Array(4 * count + 1);
      bytes.set(new Uint8Array(values.buffer), 1);
      const shifted = { name: 'w', type: 'float32', dims: [count], bytes: bytes.subarray(1) } as const;
      assert.equal(largestMagnitude(shifted), Math.abs(values[count - 1]!));
    }
    assert.equal(largestMagnitude(tensorOf('w', 'float16', [2], Uint16Array.of(0x3c00, 0xc000))), 2);
  });

  it('does not lose a NaN or an infinity', () => {
    for (const bad of [Number.NaN, Number.NEGATIVE_INFINITY]) {
      const weights = new Float32Array(64).fill(1);
      weights[41] = bad;
      const largest = new Float32Array(1);
      vector!.largest(bytesOfFloats(weights), 64, largest);
      assert.ok(!Number.isFinite(largest[0]!));
      assert.ok(!Number.isFinite(largestMagnitude(tensorOf('w', 'float32', [64], weights))));
    }
  });
});
