import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { GraphBuilder } from '../../../src/onnx/build/graph-builder.ts';
import type { Model } from '../../../src/onnx/model.ts';
import type { ActivationStatistics } from '../../../src/onnx/quantize/activations/channel-statistics.ts';
import { correctBiases } from '../../../src/onnx/quantize/activations/correct-bias.ts';
import { observeActivations } from '../../../src/onnx/quantize/activations/observe.ts';
import { quantizeWithStatistics } from '../../../src/onnx/quantize/activations/quantize-with-statistics.ts';
import { smoothActivations } from '../../../src/onnx/quantize/activations/smooth.ts';
import { quantizeDynamic } from '../../../src/onnx/quantize/dynamic.ts';
import { valuesOf } from '../../../src/onnx/tensor.ts';
import { withGraph } from '../models.ts';
import { f32, randomFloats, runOnce, seededRandom, withSession } from '../run.ts';

/**
 * y = Gelu(n·V + c)·W + b + n, n = LayerNorm(x): a feed-forward block. Channels 1 and 3 of n are 20 times as large as the
 * others, and one of the inner ones is.
 */
function feedForward(width: number, inner: number, seed: number): Model {
  const random = seededRandom(seed);
  const g = new GraphBuilder('feed-forward');
  const x = g.input('x', 'float32', ['batch', 'tokens', width]);
  const outliers = (count: number, of: number[], size: number): Float32Array =>
    Float32Array.from({ length: count }, (_, i) => (of.includes(i) ? size : 1));
  const scale = g.initializer('gamma', 'float32', [width], outliers(width, [1, 3], 20));
  const shift = g.initializer('beta', 'float32', [width], randomFloats(width, random));
  const normed = g.layerNormalization(x, scale, shift, 1e-5);
  const v = g.initializer('v', 'float32', [width, inner], randomFloats(width * inner, random, 0.2));
  const c = g.initializer('c', 'float32', [inner], outliers(inner, [2], 30));
  const z = g.add(g.matMul(normed, v), c);
  const gelu = g.mul(g.mul(z, g.add(g.erf(g.div(z, g.scalar(Math.SQRT2))), g.scalar(1))), g.scalar(0.5));
  const w = g.initializer('w', 'float32', [inner, width], randomFloats(inner * width, random, 0.2));
  const b = g.initializer('b', 'float32', [width], randomFloats(width, random));
  g.output('y', g.add(g.add(g.matMul(gelu, w), b), normed), ['batch', 'tokens', width]);
  return g.toModel();
}

/** y = x·Wᵀ·alpha + beta·c */
function gemm(depth: number, outputs: number, seed: number): Model {
  const random = seededRandom(seed);
  const g = new GraphBuilder('gemm');
  const x = g.input('x', 'float32', ['batch', depth]);
  const w = g.initializer('w', 'float32', [outputs, depth], randomFloats(outputs * depth, random));
  const c = g.initializer('c', 'float32', [outputs], randomFloats(outputs, random));
  g.output('y', g.gemm(x, w, c, { transB: true, alpha: 0.5, beta: 2 }), ['batch', outputs]);
  return g.toModel();
}

type Rows = readonly { dims: readonly number[]; x: Float32Array }[];

async function observed(model: Model, rows: Rows): Promise<ActivationStatistics> {
  const observation = observeActivations(model);
  await withSession(observation.model, async (run) => {
    for (const { dims, x } of rows) {
      const outputs = await run({ x: f32(dims, x) });
      observation.add((name) => (name === 'x' ? x : outputs[name]!));
    }
  });
  return observation.statistics();
}

const tokens = (width: number, runs: number, seed: number): Rows => {
  const random = seededRandom(seed);
  return Array.from({ length: runs }, () => ({ dims: [1, 6, width], x: randomFloats(6 * width, random, 2) }));
};

async function answers(model: Model, rows: Rows): Promise<Float32Array[]> {
  return await withSession(model, async (run) => {
    const all: Float32Array[] = [];
    for (const { dims, x } of rows) all.push((await run({ x: f32(dims, x) })).y!);
    return all;
  });
}

const squaredError = (actual: readonly Float32Array[], expected: readonly Float32Array[]): number =>
  actual.reduce((sum, row, r) => sum + row.reduce((part, y, i) => part + (y - expected[r]![i]!) ** 2, 0), 0);

describe('onnx/quantize/activations', () => {
  it('smoothing changes no bit of the float model, whatever the strength', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 4, max: 24 }),
        fc.integer({ min: 3, max: 40 }),
        fc.integer(),
        fc.constantFrom(undefined, 0.3, 0.5, 0.8, 1),
        async (width, inner, seed, strength) => {
          const model = feedForward(width, inner, seed);
          const rows = tokens(width, 4, seed + 1);
          const { model: smooth, smoothed } = smoothActivations(model, await observed(model, rows), { strength });
          if (strength === 1) assert.equal(smoothed.length, 2);
          assert.deepEqual(await answers(smooth, rows), await answers(model, rows));
        },
      ),
      { numRuns: 40, seed: 5 },
    );
  });

  it('divides by powers of two from 1 to 128, and its statistics are those of the divided activations', async () => {
    const model = feedForward(16, 48, 3);
    const rows = tokens(16, 8, 4);
    const { model: smooth, statistics } = smoothActivations(model, await observed(model, rows), { strength: 0.75 });
    const scales = smooth.graph.initializers.filter(({ type }) => type === 'uint8');
    assert.equal(scales.length, 2);
    for (const scale of scales.flatMap((tensor) => [...valuesOf(tensor, 'uint8')]))
      assert.ok(Number.isInteger(Math.log2(scale)) && scale >= 1 && scale <= 128, `${scale}`);
    const seen = await observed(smooth, rows);
    for (const [activation, { mean, largest }] of seen) {
      const expected = statistics.get(activation)!;
      assert.deepEqual(largest, expected.largest);
      for (const [i, value] of mean.entries()) assert.ok(Math.abs(value - expected.mean[i]!) <= 1e-6);
    }
  });

  it('takes more than half of the int8 error away on rows that it has not seen, where channels are outliers', async () => {
    const model = feedForward(32, 96, 7);
    const statistics = await observed(model, tokens(32, 16, 8));
    const judged = tokens(32, 16, 9);
    const float = await answers(model, judged);
    const plain = squaredError(await answers(quantizeDynamic(model).model, judged), float);
    const { model: int8, smoothed } = quantizeWithStatistics(model, statistics);
    assert.ok(smoothed.length > 0 && smoothed.every(({ noise }) => noise <= 0.8));
    const better = squaredError(await answers(int8, judged), float);
    assert.ok(better < plain / 2, `${better}, without statistics ${plain}`);
  });

  it('leaves a model without outliers alone', async () => {
    const model = gemm(24, 8, 1);
    const random = seededRandom(2);
    const rows = Array.from({ length: 8 }, () => ({ dims: [4, 24], x: randomFloats(96, random) }));
    const result = smoothActivations(model, await observed(model, rows));
    assert.equal(result.model, model);
  });

  it('smooths no weight that another product reads with another activation', async () => {
    const g = new GraphBuilder('shared');
    const x = g.input('x', 'float32', ['batch', 8]);
    const w = g.initializer('w', 'float32', [8, 8], randomFloats(64, seededRandom(1)));
    g.output('y', g.matMul(g.relu(g.matMul(x, w)), w), ['batch', 8]);
    const model = g.toModel();
    const statistics = await observed(model, [
      { dims: [2, 8], x: Float32Array.from({ length: 16 }, (_, i) => i ** 3) },
    ]);
    assert.equal(statistics.size, 2);
    assert.deepEqual(smoothActivations(model, statistics, { strength: 1 }).smoothed, []);
  });

  for (const perChannel of [true, false])
    it(`a corrected bias takes back what the rounding of weights shifts, ${perChannel ? 'per channel' : 'per tensor'}`, async () => {
      for (const [model, output] of [[gemm(40, 12, 5), 12] as const, [feedForward(40, 12, 6), 40] as const]) {
        // Activations far from zero: a weight's error does not cancel.
        const random = seededRandom(7);
        const x = randomFloats(40, random, 1).map((value) => value + 3);
        const rows: Rows = [{ dims: output === 12 ? [1, 40] : [1, 1, 40], x }];
        const statistics = await observed(model, rows);
        const [float] = await answers(model, rows);
        // With one row the mean is the row, so that only the rounding of activations is left.
        const { model: corrected, corrected: names } = correctBiases(model, statistics, { perChannel });
        assert.equal(names.length, output === 12 ? 1 : 2);
        const [uncorrectedError, correctedError] = await Promise.all(
          [model, corrected].map(async (source) =>
            squaredError(await answers(quantizeDynamic(source, { perChannel }).model, rows), [float!]),
          ),
        );
        assert.ok(correctedError! < uncorrectedError! / 1.5, `${correctedError}, uncorrected ${uncorrectedError}`);
      }
    });

  it('gives two products that share a bias their own', async () => {
    const g = new GraphBuilder('shared bias');
    const x = g.input('x', 'float32', ['batch', 4]);
    const b = g.initializer('b', 'float32', [3], Float32Array.of(1, 2, 3));
    const random = seededRandom(3);
    const product = (name: string) =>
      g.add(g.matMul(x, g.initializer(name, 'float32', [4, 3], randomFloats(12, random))), b);
    g.output('y', g.add(product('v'), product('w')), ['batch', 3]);
    const model = g.toModel();
    const statistics = await observed(model, [{ dims: [1, 4], x: Float32Array.of(1, 2, 3, 4) }]);
    const { model: corrected } = correctBiases(model, statistics);
    const biases = corrected.graph.initializers.filter(({ dims }) => dims.length === 1);
    assert.equal(biases.length, 2);
    assert.notDeepEqual(valuesOf(biases[0]!, 'float32'), valuesOf(biases[1]!, 'float32'));
    assert.ok(!corrected.graph.initializers.some(({ name }) => name === 'b'));
  });

  it('corrects no bias that callers may pass', async () => {
    const model = gemm(8, 4, 2);
    const overridable = withGraph(model, {
      inputs: [...model.graph.inputs, { name: 'c', type: 'float32', dims: [4] }],
    });
    const statistics = await observed(model, [{ dims: [1, 8], x: new Float32Array(8).fill(1) }]);
    assert.equal(correctBiases(overridable, statistics).model, overridable);
  });

  it('refuses activations that are not finite, by name', async () => {
    await assert.rejects(
      observed(gemm(2, 2, 1), [{ dims: [1, 2], x: Float32Array.of(1, Number.NaN) }]),
      /activation "x" is not finite: NaN/,
    );
  });

  it('keeps excluded nodes as they are', async () => {
    const model = feedForward(16, 24, 1);
    const rows = tokens(16, 4, 2);
    const exclude = model.graph.nodes.filter(({ opType }) => opType === 'MatMul').map(({ name }) => name);
    const {
      model: same,
      smoothed,
      corrected,
    } = quantizeWithStatistics(model, await observed(model, rows), { exclude });
    assert.deepEqual([smoothed, corrected], [[], []]);
    const x = rows[0]!;
    const feeds = { x: f32(x.dims, x.x) };
    assert.deepEqual(await runOnce(same, feeds), await runOnce(model, feeds));
  });
});
