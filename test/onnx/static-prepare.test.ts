import { strict as assert } from 'node:assert';
import { GraphBuilder } from '../../src/onnx/build/graph-builder.ts';
import type { Model } from '../../src/onnx/model.ts';
import { foldBatchNorm } from '../../src/onnx/quantize/static/fold-batch-norm.ts';
import { prepareForStatic } from '../../src/onnx/quantize/static/prepare.ts';
import { valuesOf } from '../../src/onnx/tensor.ts';
import { nodeOf, withGraph } from './models.ts';
import { f32, randomFloats, runOnce, seededRandom } from './run.ts';
import { RandomNet } from './static-models.ts';

const operators = ({ graph }: Model): string[] => graph.nodes.map(({ opType }) => opType);

async function assertSameOutputs(a: Model, b: Model, shape: readonly number[], tolerance: number): Promise<void> {
  const size = shape.reduce((product, dim) => product * dim, 1);
  const feeds = { x: f32(shape, randomFloats(size, seededRandom(9))) };
  const [left, right] = [(await runOnce(a, feeds)).y!, (await runOnce(b, feeds)).y!];
  assert.equal(left.length, right.length);
  const scale = left.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  for (const [i, value] of left.entries()) {
    assert.ok(Math.abs(value - right[i]!) <= tolerance * scale, `${i}: ${value}, ${right[i]}`);
  }
}

describe('onnx/quantize/static: folding BatchNormalization', () => {
  it('is a·(w∗x + b − mean) + beta, each number rounded once', () => {
    const net = new RandomNet([2, 4, 4]);
    net.g.output('y', net.batchNorm(net.conv(net.x, 'c', [3, 2, 3, 3]), 'n', 3), ['batch', 3, 2, 2]);
    const { graph } = net.g.toModel();
    const read = (name: string, of = graph): Float32Array =>
      valuesOf(of.initializers.find((tensor) => tensor.name === name)!, 'float32');
    const folded = foldBatchNorm(graph);
    assert.deepEqual(
      folded.nodes.map(({ opType, inputs, outputs }) => [opType, inputs, outputs]),
      [['Conv', ['x', 'c.w_folded', 'c.b_folded_bias'], ['y']]],
    );
    const factor = (c: number): number => read('n.gamma')[c]! / Math.sqrt(read('n.variance')[c]! + Math.fround(1e-5));
    for (const [i, weight] of read('c.w').entries()) {
      const expected = Math.fround(weight * factor(Math.floor(i / 18)));
      // epsilon is a float32 in the file and 1e-5 when it is left out: the last bit may differ
      assert.ok(Math.abs(read('c.w_folded', folded)[i]! - expected) <= 2 ** -23 * Math.abs(expected));
    }
    for (const [c, bias] of read('c.b').entries()) {
      const expected = (bias - read('n.mean')[c]!) * factor(c) + read('n.beta')[c]!;
      assert.ok(Math.abs(read('c.b_folded_bias', folded)[c]! - expected) <= 1e-6);
    }
  });

  it('changes no output beyond rounding: with and without bias, depthwise', async () => {
    for (const [bias, group] of [
      [true, 1],
      [false, 1],
      [false, 4],
    ] as const) {
      const net = new RandomNet([4, 8, 8], 3);
      const conv = net.conv(net.x, 'c', [8, 4 / group, 3, 3], { bias, group, pads: [1, 1, 0, 2] });
      net.g.output('y', net.batchNorm(conv, 'n', 8), ['batch', 8, 'h', 'w']);
      const model = net.g.toModel();
      const prepared = prepareForStatic(model);
      assert.deepEqual(operators(prepared), ['Conv']);
      assert.equal(prepared.graph.initializers.length, 2, 'the numbers before folding are gone');
      await assertSameOutputs(model, prepared, [3, 4, 8, 8], 1e-5);
    }
  });

  it('leaves a normalisation alone whose Conv has another reader', () => {
    const net = new RandomNet([2, 4, 4]);
    const conv = net.conv(net.x, 'c', [2, 2, 1, 1]);
    net.g.output('y', net.g.add(conv, net.batchNorm(conv, 'n', 2)), ['batch', 2, 4, 4]);
    assert.deepEqual(operators(prepareForStatic(net.g.toModel())), ['Conv', 'BatchNormalization', 'Add']);
  });
});

describe('onnx/quantize/static: preparing', () => {
  it('makes initializers of Constant nodes and drops Identity and Dropout, but for names of outputs', async () => {
    const net = new RandomNet([4]);
    net.g.output('y', net.g.matMul(net.x, net.weight('w', [4, 3])), ['batch', 3]);
    const model = net.g.toModel();
    const [weight] = model.graph.initializers;
    const wrapped = withGraph(model, {
      initializers: [],
      nodes: [
        nodeOf('Constant', [], ['w'], {
          attributes: [{ name: 'value', type: 'tensor', value: { ...weight!, name: '' } }],
        }),
        nodeOf('Identity', ['x'], ['x1']),
        nodeOf('Dropout', ['x1'], ['x2']),
        nodeOf('MatMul', ['x2', 'w'], ['y1']),
        nodeOf('Identity', ['y1'], ['y']),
      ],
    });
    const prepared = prepareForStatic(wrapped);
    assert.deepEqual(operators(prepared), ['MatMul', 'Identity']);
    assert.deepEqual(prepared.graph.nodes[0]!.inputs, ['x', 'w']);
    await assertSameOutputs(wrapped, prepared, [2, 4], 0);
  });

  it('makes one Gemm of a matrix product and its bias, and of nothing else', async () => {
    const build = (shape: readonly number[], bias: readonly number[]): Model => {
      const net = new RandomNet(shape, 2);
      const product = net.g.matMul(net.x, net.weight('w', [4, 3]));
      net.g.output('y', net.g.add(net.weight('b', bias), product), ['batch', ...shape.slice(1), 3]);
      return net.g.toModel();
    };
    const fused = prepareForStatic(build([4], [3]));
    assert.deepEqual(operators(fused), ['Gemm']);
    await assertSameOutputs(build([4], [3]), fused, [5, 4], 1e-6);
    assert.deepEqual(operators(prepareForStatic(build([2, 4], [3]))), ['MatMul', 'Add'], 'not a matrix');
    assert.deepEqual(operators(prepareForStatic(build([4], [1]))), ['MatMul', 'Add'], 'not one value per column');
  });

  it('knows that what Flatten, Gather, ReduceMean and Squeeze make is a matrix', () => {
    const preparedOperators = (make: (g: GraphBuilder) => ReturnType<GraphBuilder['relu']>): string[] => {
      const g = new GraphBuilder('ranks');
      const w = g.initializer('w', 'float32', [4, 3], randomFloats(12, seededRandom(1)));
      const b = g.initializer('b', 'float32', [3], randomFloats(3, seededRandom(2)));
      g.output('y', g.add(g.matMul(make(g), w), b), ['rows', 3]);
      return operators(prepareForStatic(g.toModel()));
    };
    const hidden = (g: GraphBuilder) => g.input('x', 'float32', ['batch', 'tokens', 4]);
    const first = (g: GraphBuilder) => g.initializer('first', 'int64', [], BigInt64Array.of(0n));
    assert.deepEqual(
      preparedOperators((g) => g.gather(hidden(g), first(g), 1)),
      ['Gather', 'Gemm'],
    );
    assert.deepEqual(
      preparedOperators((g) => g.relu(g.reduceMean(hidden(g), [1]))),
      ['ReduceMean', 'Relu', 'Gemm'],
    );
    assert.deepEqual(
      preparedOperators((g) => g.squeeze(g.input('x', 'float32', ['b', 1, 4]), [1])),
      ['Squeeze', 'Gemm'],
    );
    assert.deepEqual(
      preparedOperators((g) => g.reshape(hidden(g), [-1, 4])),
      ['Reshape', 'Gemm'],
    );
  });

  it('does not change the model that came in', () => {
    const net = new RandomNet([2, 4, 4]);
    net.g.output('y', net.batchNorm(net.conv(net.x, 'c', [3, 2, 3, 3]), 'n', 3), ['batch', 3, 2, 2]);
    const model = net.g.toModel();
    const before = structuredClone(model);
    prepareForStatic(model);
    assert.deepEqual(model, before);
  });
});
