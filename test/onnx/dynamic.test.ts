import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import { GraphBuilder } from '../../src/onnx/build/graph-builder.ts';
import { OnnxError } from '../../src/onnx/error.ts';
import type { Model } from '../../src/onnx/model.ts';
import { decodeModel } from '../../src/onnx/proto/decode.ts';
import { encodeModel } from '../../src/onnx/proto/encode.ts';
import {
  type DynamicQuantizationOptions,
  quantizationMetadataKey,
  quantizeDynamic,
} from '../../src/onnx/quantize/dynamic.ts';
import { nameNodes } from '../../src/onnx/rewrite/names.ts';
import { valuesOf } from '../../src/onnx/tensor.ts';
import { linear, nodeOf, textClassifier, withGraph, withNode } from './models.ts';
import { f32, i64, randomFloats, runOnce, seededRandom } from './run.ts';

const opTypes = (model: Model): string[] => model.graph.nodes.map(({ opType }) => opType);
const count = (model: Model, opType: string): number => opTypes(model).filter((type) => type === opType).length;
const skips = (model: Model, options?: DynamicQuantizationOptions): string[] =>
  quantizeDynamic(model, options).report.nodes.map((node) => (node.outcome === 'skipped' ? node.reason : 'quantized'));

/** Largest |x·w| error that 8-bit activations and the given weight step allow, per output element. */
function productBound(
  x: Float32Array,
  w: Float32Array,
  k: number,
  n: number,
  row: number,
  column: number,
  steps: number,
) {
  const activationStep = (Math.max(0, ...x) - Math.min(0, ...x)) / 255;
  let largest = 0;
  for (let i = 0; i < k; i++) largest = Math.max(largest, Math.abs(w[i * n + column]!));
  const weightStep = largest / steps;
  let bound = 0;
  for (let i = 0; i < k; i++) {
    bound += (Math.abs(x[row * k + i]!) * weightStep + Math.abs(w[i * n + column]!) * activationStep) / 2;
    bound += (weightStep * activationStep) / 4;
  }
  return bound * 1.001 + 1e-5; // float32 sums
}

describe('onnx/quantize/dynamic', () => {
  it('stays within the bound of its steps on random products, 7 and 8 bits', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 24 }),
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer(),
        fc.boolean(),
        async (k, n, batch, seed, reduceRange) => {
          const random = seededRandom(seed);
          const w = randomFloats(k * n, random, 10 ** (random() * 4 - 2));
          const x = randomFloats(batch * k, random, 10 ** (random() * 4 - 2));
          const feeds = { x: f32([batch, k], x) };
          const float = linear(k, n, w);
          const { model } = quantizeDynamic(float, { reduceRange });
          assert.equal(count(model, 'MatMulInteger'), 1);
          const expected = (await runOnce(float, feeds)).y!;
          const actual = (await runOnce(model, feeds)).y!;
          for (let i = 0; i < expected.length; i++) {
            const bound = productBound(x, w, k, n, Math.floor(i / n), i % n, reduceRange ? 64 : 127);
            const difference = Math.abs(expected[i]! - actual[i]!);
            assert.ok(difference <= bound, `[${i}] differs by ${difference}, the bound is ${bound}`);
          }
        },
      ),
      { numRuns: 120, seed: 11 },
    );
  });

  it('looks rows up within half a step of each row', async () => {
    const g = new GraphBuilder('table');
    const ids = g.input('ids', 'int64', ['batch', 'tokens']);
    const random = seededRandom(5);
    // Rows of very different size: one scale for the table would flatten the small ones.
    const table = randomFloats(20 * 8, random).map((value, i) => value * 10 ** (Math.floor(i / 8) % 5) * 0.001);
    g.output('rows', g.gather(g.initializer('table', 'float32', [20, 8], table), ids), ['batch', 'tokens', 8]);
    const { model, report } = quantizeDynamic(g.toModel());
    assert.equal(report.weights[0]!.channel, 'row');
    const every = [...Array(20).keys()];
    const { rows } = await runOnce(model, { ids: i64([4, 5], every) });
    for (const row of every) {
      const original = table.slice(row * 8, row * 8 + 8);
      const step = Math.max(...original.map(Math.abs)) / 127;
      for (const [i, value] of original.entries()) {
        assert.ok(Math.abs(rows![row * 8 + i]! - value) <= 0.5001 * step, `row ${row}`);
      }
    }
  });

  it('quantizes a whole classifier: near the float answers, a third of the bytes', async () => {
    const float = textClassifier({ vocabulary: 500, width: 32 });
    const { model, report } = quantizeDynamic(float);
    assert.deepEqual(
      report.nodes.map(({ opType, outcome }) => `${opType} ${outcome}`),
      ['Gather quantized', 'MatMul quantized', 'Gemm quantized'],
    );
    assert.ok(report.bytesAfter < report.bytesBefore / 3, `${report.bytesBefore} → ${report.bytesAfter}`);
    for (const { weight, error } of report.weights) assert.ok(error.sqnrDb! > 40, `${weight}: ${error.sqnrDb} dB`);
    const ids = i64(
      [8, 6],
      Array.from({ length: 48 }, (_, i) => (i * 37) % 500),
    );
    const [expected, actual] = [await runOnce(float, { ids }), await runOnce(model, { ids })];
    for (const [i, p] of expected.probabilities!.entries()) {
      assert.ok(Math.abs(p - actual.probabilities![i]!) < 0.02, `probability ${i}`);
    }
  });

  it('handles Gemm as written: alpha, beta, transB, a bias that broadcasts or is missing', async () => {
    const random = seededRandom(9);
    const x = randomFloats(3 * 6, random);
    for (const [alpha, beta, transB, biasDims] of [
      [1, 1, false, [4]],
      [0.5, 2, true, [4]],
      [-3, 0.25, true, []],
      [2, 0, false, [1, 4]],
      [1, 1, true, undefined],
    ] as const) {
      const g = new GraphBuilder('gemm');
      const input = g.input('x', 'float32', ['batch', 6]);
      const w = g.initializer('w', 'float32', transB ? [4, 6] : [6, 4], randomFloats(24, random));
      const bias =
        biasDims && g.initializer('b', 'float32', biasDims, randomFloats(biasDims.length ? 4 : 1, random, 5));
      g.output('y', g.gemm(input, w, bias, { alpha, beta, transB }), ['batch', 4]);
      const float = g.toModel();
      const { model } = quantizeDynamic(float, { reduceRange: false });
      assert.deepEqual([count(model, 'Gemm'), count(model, 'MatMulInteger')], [0, 1]);
      const [expected, actual] = [
        await runOnce(float, { x: f32([3, 6], x) }),
        await runOnce(model, { x: f32([3, 6], x) }),
      ];
      const slack = 0.05 * Math.abs(alpha);
      for (const [i, y] of expected.y!.entries())
        assert.ok(Math.abs(y - actual.y![i]!) < slack, `alpha ${alpha}: [${i}]`);
    }
  });

  it('quantizes an activation once for all its readers, and a shared weight once', async () => {
    const g = new GraphBuilder('attention heads');
    const x = g.input('x', 'float32', ['batch', 8]);
    const random = seededRandom(2);
    const query = g.initializer('query', 'float32', [8, 8], randomFloats(64, random));
    const key = g.initializer('key', 'float32', [8, 8], randomFloats(64, random));
    const q = g.matMul(x, query);
    const k = g.matMul(x, key);
    const scores = g.matMul(q, g.transpose(k, [1, 0])); // two activations: stays float
    g.output('scores', g.matMul(scores, g.matMul(q, query)), ['batch', 8]);
    const { model, report } = quantizeDynamic(g.toModel());
    assert.equal(count(model, 'DynamicQuantizeLinear'), 2); // x, and q for its second use
    assert.equal(count(model, 'MatMulInteger'), 3);
    assert.equal(count(model, 'MatMul'), 2);
    assert.deepEqual(
      report.weights.map(({ weight }) => weight),
      ['query', 'key'],
    );
    assert.equal(
      report.nodes.filter((node) => node.outcome === 'skipped' && /not a constant/.test(node.reason)).length,
      2,
    );
    await runOnce(model, { x: f32([2, 8], randomFloats(16, random)) });
  });

  it('stores a table that is the output layer too once', async () => {
    const random = seededRandom(4);
    const g = new GraphBuilder('tied');
    const ids = g.input('ids', 'int64', ['batch']);
    const table = g.initializer('table', 'float32', [30, 16], randomFloats(480, random));
    g.output('logits', g.gemm(g.gather(table, ids), table, undefined, { transB: true }), ['batch', 30]);
    const float = g.toModel();
    const { model, report } = quantizeDynamic(float);
    assert.equal(report.weights.length, 1);
    assert.equal(report.weights[0]!.reduceRange, true);
    assert.equal(report.bytesAfter, 30 * 16 + 30 * 4);
    const [expected, actual] = [
      await runOnce(float, { ids: i64([3], [0, 7, 29]) }),
      await runOnce(model, { ids: i64([3], [0, 7, 29]) }),
    ];
    for (const [i, y] of expected.logits!.entries()) assert.ok(Math.abs(y - actual.logits![i]!) < 0.12, `[${i}]`);
  });

  it('accepts activations of any rank', async () => {
    const random = seededRandom(6);
    for (const dims of [[4], [2, 4], [2, 3, 4], [1, 2, 3, 4]]) {
      const g = new GraphBuilder('rank');
      const x = g.input('x', 'float32', dims);
      g.output('y', g.matMul(x, g.initializer('w', 'float32', [4, 5], randomFloats(20, random))), [
        ...dims.slice(0, -1),
        5,
      ]);
      const { model } = quantizeDynamic(g.toModel());
      const size = dims.reduce((a, b) => a * b, 1);
      const { y } = await runOnce(model, { x: f32(dims, randomFloats(size, random)) });
      assert.equal(y!.length, (size / 4) * 5);
    }
  });

  it('has nothing to do on a quantized model, and says so', () => {
    const once = quantizeDynamic(textClassifier());
    const twice = quantizeDynamic(once.model);
    assert.equal(once.report.changed, true);
    assert.equal(twice.report.changed, false);
    assert.equal(twice.model, once.model);
    assert.ok(twice.report.nodes.length > 0 && twice.report.nodes.every(({ outcome }) => outcome === 'skipped'));
    assert.equal(twice.report.bytesAfter, twice.report.bytesBefore);
  });

  it('leaves the input model as it was, is deterministic, and notes the options in the metadata', () => {
    const float = textClassifier();
    const before = encodeModel(float);
    const { model } = quantizeDynamic(float, { reduceRange: false });
    assert.deepEqual(encodeModel(float), before);
    assert.deepEqual(encodeModel(quantizeDynamic(float, { reduceRange: false }).model), encodeModel(model));
    assert.deepEqual(JSON.parse(model.metadata.get(quantizationMetadataKey)!), {
      method: 'dynamic',
      weights: 'int8',
      perChannel: true,
      reduceRange: false,
    });
    assert.equal(model.metadata.get('task'), 'test');
  });

  it('uses one scale for a matrix when asked to', () => {
    const { model, report } = quantizeDynamic(textClassifier(), { perChannel: false });
    assert.deepEqual(
      report.weights.map(({ channel }) => channel),
      ['tensor', 'tensor', 'tensor'],
    );
    assert.deepEqual(model.graph.initializers.find(({ name }) => name === 'w1_scale')!.dims, []);
  });

  it('names nodes first, so that each can be kept in float', () => {
    const unnamed = withGraph(textClassifier(), {
      nodes: textClassifier().graph.nodes.map((node) => ({ ...node, name: node.opType === 'Gather' ? '' : 'same' })),
    });
    const names = nameNodes(unnamed).graph.nodes.map(({ name }) => name);
    assert.equal(new Set(names).size, names.length);
    assert.equal(names[0], 'Gather_0');
    const matMul = nameNodes(unnamed).graph.nodes.find(({ opType }) => opType === 'MatMul')!.name;
    assert.deepEqual(skips(unnamed, { exclude: [matMul] }), ['quantized', 'excluded', 'quantized']);
    assert.throws(
      () => quantizeDynamic(unnamed, { exclude: ['no such node'] }),
      (error) => error instanceof OnnxError && /no node "no such node"/.test(error.message),
    );
  });

  it('says why it leaves a node alone', () => {
    const base = linear(2, 2, Float32Array.of(1, 2, 3, 4));
    const w = base.graph.initializers[0]!;
    const withWeight = (change: object): Model => withGraph(base, { initializers: [{ ...w, ...change }] });
    const reason = (model: Model): string => skips(model)[0]!;
    assert.match(
      reason(
        withGraph(base, {
          initializers: [],
          inputs: [...base.graph.inputs, { name: 'w', type: 'float32', dims: [2, 2] }],
        }),
      ),
      /not a constant/,
    );
    const wide = { type: 'float64', bytes: new Uint8Array(32) };
    assert.match(reason(withWeight(wide)), /float64, expected float32 or float16/);
    const gemm = { opType: 'Gemm' };
    assert.match(reason(withNode(withWeight({ dims: [1, 2, 2] }), 0, gemm)), /rank 3, expected 2/);
    assert.match(reason(withWeight({ dims: [0, 2], bytes: new Uint8Array(0) })), /empty/);
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, 3e38]) {
      assert.match(reason(linear(2, 1, Float32Array.of(1, value))), /not finite or beyond/);
    }
    const deep = { dims: [140_000, 1], bytes: new Uint8Array(560_000) };
    assert.match(reason(withWeight(deep)), /may overflow 32 bits/);
    const alsoBias = withGraph(base, {
      nodes: [...base.graph.nodes, nodeOf('Add', ['y', 'w'], ['z'], { name: 'bias' })],
    });
    assert.match(reason(withNode(base, 0, { inputs: ['x'] })), /lacks an input/);
    assert.match(reason(alsoBias), /needed in float by node "bias"/);
    assert.match(reason(withNode(base, 0, { inputs: ['w', 'w'] })), /needed in float by node "MatMul_0"/);
    const gather = { opType: 'Gather', inputs: ['w', 'x'] };
    assert.match(reason(withNode(withWeight({ dims: [4, 1] }), 0, gather)), /rows of 1 would not shrink/);
    const alongColumns = { ...gather, attributes: [{ name: 'axis', type: 'int', value: 1 } as const] };
    assert.match(reason(withNode(base, 0, alongColumns)), /along axis 1/);
  });

  it('makes a sound model or an OnnxError of every model that decodes, whatever its operators are given', () => {
    const original = encodeModel(textClassifier({ vocabulary: 6, width: 3 }));
    let rewritten = 0;
    fc.assert(
      fc.property(fc.nat(original.length - 1), fc.integer({ min: 1, max: 255 }), (at, mask) => {
        const bytes = Uint8Array.from(original);
        bytes[at]! ^= mask;
        try {
          const { model, report } = quantizeDynamic(decodeModel(bytes));
          decodeModel(encodeModel(model));
          rewritten += Number(report.changed);
        } catch (error) {
          assert.ok(error instanceof OnnxError, String(error instanceof Error ? error.stack : error));
        }
      }),
      { numRuns: 1_500, seed: 3 },
    );
    assert.ok(rewritten > 200, `only ${rewritten} models came as far as the rewrite`);
  });

  it('keeps the largest weights exact: the outlier is stored as the end of the range', () => {
    const { model } = quantizeDynamic(linear(3, 1, Float32Array.of(-100, 1, 0.1)), { reduceRange: false });
    const stored = model.graph.initializers.find(({ name }) => name === 'w_quantized')!;
    assert.deepEqual([...valuesOf(stored, 'int8')], [-127, 1, 0]);
  });
});
