import { strict as assert } from 'node:assert';
import * as ort from 'onnxruntime-node';
import { builderOpset, GraphBuilder, type Value } from '../../src/onnx/build/graph-builder.ts';
import { OnnxError } from '../../src/onnx/error.ts';
import { encodeModel } from '../../src/onnx/proto/encode.ts';
import { f32, i64, runOnce, withSession } from './run.ts';

const refused = (act: () => unknown, message: RegExp): void =>
  assert.throws(act, (error) => error instanceof OnnxError && message.test(error.message), message.source);

/** What each operator makes of a = [[1, -2], [3, 4]], b = [[2, 2], [-1, 0.5]], ids = [1, 0]. */
type Operands = Record<'a' | 'b', Value<'float32'>> & { ids: Value<'int64'> };
const operators: Record<string, [build: (g: GraphBuilder, o: Operands) => Value, expected: number[]]> = {
  add: [(g, { a, b }) => g.add(a, b), [3, 0, 2, 4.5]],
  sub: [(g, { a, b }) => g.sub(a, b), [-1, -4, 4, 3.5]],
  mul: [(g, { a, b }) => g.mul(a, b), [2, -4, -3, 2]],
  div: [(g, { a, b }) => g.div(a, b), [0.5, -1, -3, 8]],
  max: [(g, { a, b }) => g.max(a, b), [2, 2, 3, 4]],
  min: [(g, { a, b }) => g.min(a, b), [1, -2, -1, 0.5]],
  neg: [(g, { a }) => g.neg(a), [-1, 2, -3, -4]],
  exp: [(g, { a }) => g.exp(a), [1, -2, 3, 4].map(Math.exp)],
  log: [(g, { a }) => g.log(g.mul(a, a)), [1, 4, 9, 16].map(Math.log)],
  sqrt: [(g, { a }) => g.sqrt(g.mul(a, a)), [1, 2, 3, 4]],
  relu: [(g, { a }) => g.relu(a), [1, 0, 3, 4]],
  sigmoid: [(g, { a }) => g.sigmoid(a), [1, -2, 3, 4].map((x) => 1 / (1 + Math.exp(-x)))],
  tanh: [(g, { a }) => g.tanh(a), [1, -2, 3, 4].map(Math.tanh)],
  'equal and cast': [(g, { a, b }) => g.cast(g.equal(a, g.max(a, b)), 'float32'), [0, 0, 1, 1]],
  greater: [(g, { a, b }) => g.cast(g.greater(a, b), 'float32'), [0, 0, 1, 1]],
  'less, not, and': [
    (g, { a, b }) => g.cast(g.and(g.not(g.less(a, b)), g.greater(a, g.scalar(3))), 'float32'),
    [0, 0, 0, 1],
  ],
  where: [(g, { a, b }) => g.where(g.greater(a, g.scalar(0)), a, b), [1, 2, 3, 4]],
  matMul: [(g, { a, b }) => g.matMul(a, b), [4, 1, 2, 8]],
  gemm: [
    (g, { a, b }) => g.gemm(a, b, g.scalar(1), { alpha: 2, beta: 10, transB: true }),
    [2 * -2 + 10, 2 * -2 + 10, 2 * 14 + 10, 2 * -1 + 10],
  ],
  'gemm of transA': [(g, { a, b }) => g.gemm(a, b, undefined, { transA: true }), [-1, 3.5, -8, -2]],
  reduceSum: [(g, { a }) => g.reduceSum(a, [1]), [-1, 7]],
  'reduceSum of all': [(g, { a }) => g.reduceSum(a, []), [6]],
  reduceMean: [(g, { a }) => g.reduceMean(a, [0], { keepDims: true }), [2, 1]],
  reduceMax: [(g, { a }) => g.reduceMax(a, [-1]), [1, 4]],
  softmax: [
    (g, { a }) => g.softmax(a, 0),
    [1, 3]
      .map((x) => Math.exp(x) / (Math.exp(1) + Math.exp(3)))
      .flatMap((p, i) => [p, [1 / (1 + Math.exp(6)), 1 / (1 + Math.exp(-6))][i]!]),
  ],
  logSoftmax: [
    (g, { a }) => g.exp(g.logSoftmax(a)),
    [1 / (1 + Math.exp(-3)), 1 / (1 + Math.exp(3)), 1 / (1 + Math.exp(1)), 1 / (1 + Math.exp(-1))],
  ],
  gather: [(g, { a, ids }) => g.gather(a, ids), [3, 4, 1, -2]],
  'gather columns': [(g, { a, ids }) => g.gather(a, ids, 1), [-2, 1, 4, 3]],
  scatterElements: [
    (g, { a, b, ids }) => g.scatterElements(a, g.unsqueeze(ids, [0]), g.gather(b, g.ints([0])), { reduction: 'add' }),
    [1, 0, 5, 4],
  ],
  scatterND: [
    (g, { a, b, ids }) => g.scatterND(a, g.unsqueeze(g.mul(ids, g.ints([0])), [1]), b, { reduction: 'add' }),
    [1 + 2 - 1, -2 + 2 + 0.5, 3, 4],
  ],
  transpose: [(g, { a }) => g.transpose(a, [1, 0]), [1, 3, -2, 4]],
  'reshape and concat': [
    (g, { a, b }) => g.concat([g.reshape(a, [-1]), g.reshape(b, [4])], 0),
    [1, -2, 3, 4, 2, 2, -1, 0.5],
  ],
  squeeze: [(g, { a }) => g.squeeze(g.unsqueeze(a, [0]), [0]), [1, -2, 3, 4]],
  shape: [(g, { a }) => g.cast(g.shape(a), 'float32'), [2, 2]],
};

describe('onnx/build', () => {
  it('has operators that compute what they say', async () => {
    const g = new GraphBuilder('operators');
    const operands = {
      a: g.input('a', 'float32', [2, 2]),
      b: g.input('b', 'float32', [2, 2]),
      ids: g.input('ids', 'int64', [2]),
    };
    for (const [name, [build]] of Object.entries(operators)) g.output(name, build(g, operands), []);
    const model = g.toModel();
    assert.equal(model.opsets.get(''), builderOpset);
    // Ranks are not the matter here, and `output` above states none.
    const outputs = model.graph.outputs.map((output) => ({ ...output, dims: undefined }));
    const results = await runOnce(encodeModel({ ...model, graph: { ...model.graph, outputs } }), {
      a: f32([2, 2], [1, -2, 3, 4]),
      b: f32([2, 2], [2, 2, -1, 0.5]),
      ids: i64([2], [1, 0]),
    });
    for (const [name, [, expected]] of Object.entries(operators)) {
      const actual = [...results[name]!];
      assert.equal(actual.length, expected.length, name);
      for (const [i, value] of expected.entries()) {
        assert.ok(
          Math.abs(actual[i]! - value) < 1e-5 * Math.max(1, Math.abs(value)),
          `${name}: ${actual}, expected ${expected}`,
        );
      }
    }
  });

  it('passes inputs and constants on as outputs, and one value under two names', async () => {
    const g = new GraphBuilder('pass');
    const x = g.input('x', 'float32', ['n']);
    const doubled = g.add(x, x);
    g.output('same', x, ['n']);
    g.output('constant', g.scalar(7), []);
    g.output('doubled', doubled, ['n']);
    g.output('again', doubled, ['n']);
    g.output('used', g.neg(doubled), ['n']);
    const model = g.toModel();
    assert.equal(model.graph.nodes.filter(({ opType }) => opType === 'Identity').length, 3);
    const out = await runOnce(model, { x: f32([1], [3]) });
    assert.deepEqual(
      Object.entries(out).map(([name, values]) => [name, values[0]]),
      [
        ['same', 3],
        ['constant', 7],
        ['doubled', 6],
        ['again', 6],
        ['used', -6],
      ],
    );
  });

  it('tells the engine names, types and symbolic dimensions', async () => {
    const g = new GraphBuilder('types');
    g.output('y', g.cast(g.input('x', 'int64', ['batch', 3]), 'float32'), ['batch', 3]);
    const session = await ort.InferenceSession.create(encodeModel(g.toModel()), { intraOpNumThreads: 1 });
    try {
      assert.deepEqual(session.inputMetadata, [{ name: 'x', isTensor: true, type: 'int64', shape: ['batch', 3] }]);
      assert.deepEqual(session.outputMetadata, [{ name: 'y', isTensor: true, type: 'float32', shape: ['batch', 3] }]);
    } finally {
      await session.release();
    }
  });

  it('keeps equal constants once', () => {
    const g = new GraphBuilder('constants');
    const x = g.input('x', 'float32', [2, 2]);
    g.output('y', g.add(g.reduceSum(g.add(x, g.scalar(1)), [1]), g.reduceSum(g.add(x, g.scalar(1)), [1])), [2]);
    assert.equal(g.toModel().graph.initializers.length, 2);
  });

  it('runs operators of another domain once it is imported', async () => {
    const g = new GraphBuilder('contrib');
    const x = g.input('x', 'float32', [2]);
    const gelu = { inputs: [x], outputs: ['float32'], domain: 'com.microsoft' } as const;
    refused(() => g.node('Gelu', gelu), /import domain "com.microsoft" first/);
    g.importDomain('com.microsoft', 1);
    g.output('y', g.node('Gelu', gelu)[0], [2]);
    await withSession(g.toModel(), async (run) => {
      const { y } = await run({ x: f32([2], [0, 10]) });
      assert.deepEqual([...y!], [0, 10]);
    });
  });

  it('refuses what cannot work', () => {
    const g = new GraphBuilder('mistakes');
    const x = g.input('x', 'float32', [2]);
    const foreign = new GraphBuilder('other').input('x', 'float32', [2]);
    refused(() => g.add(x, foreign), /"x" belongs to another graph/);
    refused(() => g.output('y', foreign, [2]), /belongs to another graph/);
    refused(() => g.input('x', 'float32', [2]), /name "x" is taken/);
    refused(() => g.initializer('w', 'float32', [3], Float32Array.of(1, 2)), /float32\[3\] takes 12 bytes, it has 8/);
    const ids: Value = g.input('ids', 'int64', [2]);
    refused(() => g.add(x, ids as Value<'float32'>), /Add: "x" is float32, "ids" is int64/);
    refused(() => g.concat([], 0), /expected one value or more/);
  });
});
