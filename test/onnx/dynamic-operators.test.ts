import { strict as assert } from 'node:assert';
import fc from 'fast-check';
import * as ort from 'onnxruntime-node';
import { GraphBuilder } from '../../src/onnx/build/graph-builder.ts';
import type { Attribute, Graph, Model, Tensor } from '../../src/onnx/model.ts';
import { quantizeDynamic } from '../../src/onnx/quantize/dynamic.ts';
import { nameNodes } from '../../src/onnx/rewrite/names.ts';
import { tensorOf } from '../../src/onnx/tensor.ts';
import { linear, nodeOf, withGraph, withNode } from './models.ts';
import { type Feeds, f32, randomFloats, runOnce, seededRandom } from './run.ts';

const opTypes = ({ graph }: Model): string[] => graph.nodes.map(({ opType }) => opType);
const integer = (model: Model): number => opTypes(model).filter((type) => type === 'MatMulInteger').length;

/** Root of the relative squared error of output `y`, int8 against float, in the real engine. */
async function relativeError(float: Model, int8: Model, feeds: Feeds): Promise<number> {
  const [expected, actual] = [(await runOnce(float, feeds)).y!, (await runOnce(int8, feeds)).y!];
  assert.equal(actual.length, expected.length);
  let [signal, noise] = [0, 0];
  for (const [i, y] of expected.entries()) {
    signal += y * y;
    noise += (y - actual[i]!) ** 2;
  }
  return Math.sqrt(noise / signal);
}

const weight = (dims: readonly number[], seed: number, name = 'w'): Tensor =>
  tensorOf(
    name,
    'float32',
    dims,
    randomFloats(
      dims.reduce((a, b) => a * b, 1),
      seededRandom(seed),
      0.3,
    ),
  );

/** `linear` with another weight, input shape and node. */
function product(w: Tensor, inputDims: readonly (number | string)[], change: object = {}): Model {
  const base = linear(2, 2, new Float32Array(4));
  return withNode(
    withGraph(base, {
      initializers: [w],
      inputs: [{ name: 'x', type: 'float32', dims: inputDims }],
      outputs: [{ name: 'y', type: 'float32', dims: undefined }],
    }),
    0,
    change,
  );
}

describe('onnx/quantize/dynamic: operators against float', () => {
  it('multiplies by a constant of any rank, each matrix of a stack with its own scales', async () => {
    for (const [wDims, xDims] of [
      [[8], [3, 8]],
      [
        [8, 5],
        [2, 3, 8],
      ],
      [
        [4, 8, 5],
        [4, 3, 8],
      ],
      [
        [4, 8, 5],
        [3, 8],
      ],
      [
        [2, 3, 8, 5],
        [2, 3, 4, 8],
      ],
      [
        [1, 3, 8, 5],
        [2, 1, 4, 8],
      ],
    ] as const) {
      const w = weight(wDims, 3);
      const floats = new Float32Array(w.bytes.buffer.slice(0));
      for (let i = floats.length / wDims[0]; i < floats.length; i++) floats[i]! *= 50; // matrices of very different size
      const float = product(tensorOf('w', 'float32', wDims, floats), xDims);
      const x = f32(
        xDims,
        randomFloats(
          xDims.reduce((a: number, b) => a * b, 1),
          seededRandom(4),
        ),
      );
      for (const perChannel of [true, false]) {
        const { model, report } = quantizeDynamic(float, { perChannel });
        assert.equal(report.nodes[0]!.outcome, 'quantized');
        const limit = perChannel || wDims.length < 3 ? 0.03 : 0.06;
        const error = await relativeError(float, model, { x });
        assert.ok(error < limit, `${wDims.join('×')} ${perChannel}: ${error}`);
      }
    }
  });

  it('takes weights from Constant nodes, also behind Identity and Transpose, and drops the nodes', async () => {
    const w = weight([5, 8], 1);
    const value: Attribute = { name: 'value', type: 'tensor', value: { ...w, name: '' } };
    const base = product(w, ['batch', 8]);
    const float = withGraph(base, {
      initializers: [],
      nodes: [
        nodeOf('Constant', [], ['stored'], { attributes: [value] }),
        nodeOf('Identity', ['stored'], ['same']),
        nodeOf('Transpose', ['same'], ['w'], { attributes: [{ name: 'perm', type: 'ints', value: [1, 0] }] }),
        nodeOf('MatMul', ['x', 'w'], ['y']),
      ],
    });
    const { model, report } = quantizeDynamic(float);
    assert.deepEqual(opTypes(model), ['DynamicQuantizeLinear', 'MatMulInteger', 'Cast', 'Mul', 'Mul']);
    assert.deepEqual(
      report.weights.map(({ weight: name, shape }) => [name, shape]),
      [['stored', [8, 5]]],
    );
    assert.ok(report.bytesAfter < report.bytesBefore);
    assert.ok((await relativeError(float, model, { x: f32([3, 8], randomFloats(24, seededRandom(2))) })) < 0.03);
    const read = withGraph(float, { outputs: [...float.graph.outputs, { name: 'w', type: 'float32', dims: [8, 5] }] });
    assert.match(JSON.stringify(quantizeDynamic(read).report.nodes), /needed in float by a graph's output/);
  });

  it('takes weights that are graph inputs too, as old exporters list them, and drops the input', async () => {
    const base = product(weight([8, 5], 1), ['batch', 8]);
    const float = withGraph(base, {
      inputs: [...base.graph.inputs, { name: 'w', type: 'float32', dims: [8, 5] }],
    });
    const { model, report } = quantizeDynamic(float);
    assert.deepEqual(report.inputsRemoved, ['w']);
    assert.deepEqual(
      model.graph.inputs.map(({ name }) => name),
      ['x'],
    );
    assert.ok((await relativeError(float, model, { x: f32([3, 8], randomFloats(24, seededRandom(2))) })) < 0.03);
  });

  it('keeps its bound for every Gemm: alpha, beta, both transpositions, any bias', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({
          m: fc.integer({ min: 1, max: 5 }),
          k: fc.integer({ min: 1, max: 12 }),
          n: fc.integer({ min: 1, max: 6 }),
        }),
        fc.record({ transA: fc.boolean(), transB: fc.boolean() }),
        fc.constantFrom(-2, -0.5, 0.25, 1, 3),
        fc.constantFrom(0, -1.5, 1, 2),
        fc.constantFrom('none', 'scalar', 'row', 'full'),
        fc.integer(),
        async ({ m, k, n }, { transA, transB }, alpha, beta, biasKind, seed) => {
          const random = seededRandom(seed);
          const g = new GraphBuilder('gemm');
          const x = g.input('x', 'float32', transA ? [k, m] : [m, k]);
          const w = g.initializer('w', 'float32', transB ? [n, k] : [k, n], randomFloats(k * n, random));
          const dims = { none: undefined, scalar: [], row: [n], full: [m, n] }[biasKind];
          const bias =
            dims &&
            g.initializer(
              'b',
              'float32',
              dims,
              randomFloats(
                dims.reduce((a, b) => a * b, 1),
                random,
                3,
              ),
            );
          g.output('y', g.gemm(x, w, bias, { alpha, beta, transA, transB }), [m, n]);
          const float = g.toModel();
          const { model } = quantizeDynamic(float, { reduceRange: false });
          assert.deepEqual([opTypes(model).includes('Gemm'), integer(model)], [false, 1]);
          const feeds = { x: f32(transA ? [k, m] : [m, k], randomFloats(m * k, random)) };
          const [expected, actual] = [(await runOnce(float, feeds)).y!, (await runOnce(model, feeds)).y!];
          // Half a step of the activations (2/255) and of the weights (1/127), for k products of factors below 1.
          const bound = Math.abs(alpha) * k * (1 / 255 + 0.5 / 127 + 0.5 / 255 / 127) * 1.01 + 1e-5;
          for (const [i, y] of expected.entries())
            assert.ok(Math.abs(y - actual[i]!) <= bound, `[${i}] ${y} became ${actual[i]}, the bound is ${bound}`);
        },
      ),
      { numRuns: 60, seed: 5 },
    );
  });

  it('runs LSTMs on onnxruntime’s own kernel: directions, states, per channel or not', async () => {
    for (const [direction, directions, perChannel] of [
      ['forward', 1, true],
      ['reverse', 1, false],
      ['bidirectional', 2, true],
    ] as const) {
      const [input, hidden, steps, batch] = [6, 5, 7, 3];
      const random = seededRandom(7);
      const g = new GraphBuilder('lstm');
      const x = g.input('x', 'float32', [steps, batch, input]);
      const floats = (name: string, dims: readonly number[]) =>
        g.initializer(
          name,
          'float32',
          dims,
          randomFloats(
            dims.reduce((a, b) => a * b, 1),
            random,
            0.5,
          ),
        );
      const w = floats('W', [directions, 4 * hidden, input]);
      const r = floats('R', [directions, 4 * hidden, hidden]);
      const b = floats('B', [directions, 8 * hidden]);
      const h0 = floats('h0', [directions, batch, hidden]);
      const [y] = g.node('LSTM', {
        inputs: [x, w, r, b, undefined, h0],
        attributes: { hidden_size: hidden, direction },
        outputs: ['float32', 'float32', 'float32'],
      });
      g.output('y', y, [steps, directions, batch, hidden]);
      const float = g.toModel();
      const { model, report } = quantizeDynamic(float, { perChannel });
      assert.deepEqual(opTypes(model), ['DynamicQuantizeLSTM']);
      assert.equal(model.opsets.get('com.microsoft'), 1);
      assert.deepEqual(
        report.weights.map(({ shape }) => shape),
        [
          [directions, input, 4 * hidden],
          [directions, hidden, 4 * hidden],
        ],
      );
      const error = await relativeError(float, model, {
        x: f32([steps, batch, input], randomFloats(steps * batch * input, random)),
      });
      assert.ok(error < 0.03, `${direction}: ${error}`);
      const batchFirst = withNode(float, 0, {
        attributes: [...float.graph.nodes[0]!.attributes, { name: 'layout', type: 'int', value: 1 }],
      });
      assert.match(JSON.stringify(quantizeDynamic(batchFirst).report.nodes), /"unsupported".*layout 1/);
    }
  });

  it('quantizes in bodies of If: their own weights and those of the graph around, each once, where it lies', async () => {
    const float = branching();
    const { model, report } = quantizeDynamic(float);
    assert.deepEqual([report.nodes.length, report.nodesInSubgraphs], [4, 3]);
    assert.ok(report.nodes.every(({ outcome }) => outcome === 'quantized'));
    assert.equal(new Set(report.nodes.map(({ node }) => node)).size, 4, 'names are unique over all graphs');
    assert.deepEqual(report.weights.map(({ weight: name }) => name).sort(), ['inner', 'w']);
    assert.deepEqual(model.graph.initializers.map(({ name }) => name).sort(), ['w_quantized', 'w_scale']);
    const x = f32([3, 8], randomFloats(24, seededRandom(2)));
    for (const condition of [true, false]) {
      const feeds = { x, condition: bool(condition) };
      // The engine refuses the float model itself, for its repeated names.
      assert.ok((await relativeError(nameNodes(float), model, feeds)) < 0.04, String(condition));
    }
    const inner = report.nodes.find((node) => node.outcome === 'quantized' && node.weight === 'inner')!.node;
    const kept = quantizeDynamic(float, { exclude: [inner] }).report;
    assert.deepEqual(kept.nodes.map(({ outcome }) => outcome).sort(), [
      'quantized',
      'quantized',
      'quantized',
      'skipped',
    ]);
  });

  it('gives float16 models int8 weights between casts', async () => {
    const half = (floats: Float32Array): Uint16Array => Uint16Array.from(floats, toHalf);
    const float = product(tensorOf('w', 'float16', [8, 5], half(randomFloats(40, seededRandom(1)))), ['batch', 8]);
    const bias = tensorOf('b', 'float16', [5], half(randomFloats(5, seededRandom(3))));
    const model = withGraph(float, {
      initializers: [...float.graph.initializers, bias],
      inputs: [{ name: 'x', type: 'float32', dims: ['batch', 8] }],
      nodes: [
        nodeOf('Cast', ['x'], ['half'], { attributes: [{ name: 'to', type: 'int', value: 10 }] }),
        nodeOf('Gemm', ['half', 'w', 'b'], ['z'], { attributes: [{ name: 'beta', type: 'float', value: 2 }] }),
        nodeOf('Cast', ['z'], ['y'], { attributes: [{ name: 'to', type: 'int', value: 1 }] }),
      ],
    });
    const quantized = quantizeDynamic(model);
    assert.equal(integer(quantized.model), 1);
    const feeds = { x: f32([3, 8], randomFloats(24, seededRandom(2))) };
    assert.ok((await relativeError(model, quantized.model, feeds)) < 0.03);

    const table = withGraph(model, {
      inputs: [{ name: 'i', type: 'int64', dims: ['batch'] }],
      initializers: float.graph.initializers,
      nodes: [
        nodeOf('Gather', ['w', 'i'], ['rows']),
        nodeOf('Cast', ['rows'], ['y'], { attributes: [{ name: 'to', type: 'int', value: 1 }] }),
      ],
    });
    const i = new ort.Tensor('int64', BigInt64Array.of(7n, 0n, 3n), [3]);
    assert.ok((await relativeError(table, quantizeDynamic(table).model, { i })) < 0.01);
  });

  it('drops an LSTM whose recurrence weight is needed in float, and what hangs on it', () => {
    const g = new GraphBuilder('lstm');
    const x = g.input('x', 'float32', [2, 1, 3]);
    const w = g.initializer('W', 'float32', [1, 12, 3], randomFloats(36, seededRandom(1)));
    const r = g.initializer('R', 'float32', [1, 12, 3], randomFloats(36, seededRandom(2)));
    const lstm = (recurrence: typeof r) =>
      g.node('LSTM', { inputs: [x, w, recurrence], attributes: { hidden_size: 3 }, outputs: ['float32'] })[0];
    g.output('y', lstm(r), [2, 1, 1, 3]);
    const other = g.initializer('R2', 'float32', [1, 12, 3], randomFloats(36, seededRandom(3)));
    g.output('y2', lstm(other), [2, 1, 1, 3]);
    g.output('r', g.add(r, r), [1, 12, 3]);
    const { report } = quantizeDynamic(g.toModel());
    assert.equal(report.changed, false, 'the second LSTM shares W with the first, which R keeps in float');
    assert.ok(report.nodes.every((node) => node.outcome === 'skipped' && node.code === 'neededInFloat'));
  });
});

/** x·w, then an If whose branches multiply by `w` of the graph around and by an initializer of their own. */
function branching(): Model {
  const base = product(weight([8, 8], 1), ['batch', 8]);
  const branch = (nodes: Graph['nodes'], initializers: readonly Tensor[], output: string): Graph => ({
    name: output,
    nodes,
    initializers,
    inputs: [],
    outputs: [{ name: output, type: 'float32', dims: undefined }],
    valueInfo: [],
  });
  const then = branch(
    [
      nodeOf('MatMul', ['h', 'inner'], ['t'], { name: 'same' }),
      nodeOf('MatMul', ['t', 'w'], ['then_y'], { name: 'same' }),
    ],
    [weight([8, 8], 2, 'inner')],
    'then_y',
  );
  const otherwise = branch([nodeOf('MatMul', ['h', 'w'], ['else_y'], { name: 'same' })], [], 'else_y');
  return withGraph(base, {
    inputs: [...base.graph.inputs, { name: 'condition', type: 'bool', dims: [] }],
    nodes: [
      nodeOf('MatMul', ['x', 'w'], ['h'], { name: 'same' }),
      nodeOf('If', ['condition'], ['y'], {
        attributes: [
          { name: 'then_branch', type: 'graph', value: then },
          { name: 'else_branch', type: 'graph', value: otherwise },
        ],
      }),
    ],
  });
}

const bool = (value: boolean): Feeds[string] => new ort.Tensor('bool', Uint8Array.of(Number(value)), []);

/** Bits of the nearest float16, for normal numbers of small size; enough for test weights. */
function toHalf(value: number): number {
  const [sign, size] = [value < 0 ? 0x8000 : 0, Math.abs(value)];
  if (size < 2 ** -14) return sign | Math.round(size * 2 ** 24);
  const exponent = Math.floor(Math.log2(size));
  const fraction = Math.round((size / 2 ** exponent - 1) * 1024);
  return sign | (((exponent + 15) << 10) + fraction);
}
