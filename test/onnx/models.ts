import { GraphBuilder } from '../../src/onnx/build/graph-builder.ts';
import type { Graph, Model, Node } from '../../src/onnx/model.ts';
import { tensorOf } from '../../src/onnx/tensor.ts';
import { randomFloats, seededRandom } from './run.ts';

/** A small classifier: embedding, mean, two dense layers, softmax. `float32[batch, 3]` out of `int64[batch, tokens]`. */
export function textClassifier({ vocabulary = 50, width = 8, seed = 1 } = {}): Model {
  const random = seededRandom(seed);
  const g = new GraphBuilder('text classifier');
  const ids = g.input('ids', 'int64', ['batch', 'tokens']);
  const table = g.initializer('table', 'float32', [vocabulary, width], randomFloats(vocabulary * width, random));
  const w1 = g.initializer('w1', 'float32', [width, 16], randomFloats(width * 16, random));
  const b1 = g.initializer('b1', 'float32', [16], randomFloats(16, random));
  const w2 = g.initializer('w2', 'float32', [3, 16], randomFloats(48, random)); // as PyTorch's Linear keeps it
  const b2 = g.initializer('b2', 'float32', [3], randomFloats(3, random));
  const pooled = g.reduceMean(g.gather(table, ids), [1]);
  const hidden = g.relu(g.add(g.matMul(pooled, w1), b1));
  g.output('probabilities', g.softmax(g.gemm(hidden, w2, b2, { transB: true })), ['batch', 3]);
  return g.toModel({ metadata: { task: 'test', labels: 'a,b,c' } });
}

/** `x · w` with the given weights. */
export function linear(k: number, n: number, weights: Float32Array): Model {
  const g = new GraphBuilder('linear');
  const x = g.input('x', 'float32', ['batch', k]);
  g.output('y', g.matMul(x, g.initializer('w', 'float32', [k, n], weights)), ['batch', n]);
  return g.toModel();
}

export const withGraph = (model: Model, change: Partial<Graph>): Model => ({
  ...model,
  graph: { ...model.graph, ...change },
});

export const withNode = (model: Model, index: number, change: Partial<Node>): Model =>
  withGraph(model, { nodes: model.graph.nodes.map((node, i) => (i === index ? { ...node, ...change } : node)) });

export const nodeOf = (opType: string, inputs: string[], outputs: string[], extra: Partial<Node> = {}): Node => ({
  name: '',
  opType,
  domain: '',
  inputs,
  outputs,
  attributes: [],
  ...extra,
});

/** An `If` whose branches use a value of the graph around them. */
export function conditional(): Model {
  const g = new GraphBuilder('conditional');
  g.input('condition', 'bool', []);
  const x = g.input('x', 'float32', [2]);
  g.output('y', g.neg(x), [2]);
  const base = g.toModel();
  const branch = (name: string, opType: string): Graph => ({
    name,
    nodes: [nodeOf(opType, ['x'], [`${name}:y`])],
    initializers: [],
    inputs: [],
    outputs: [{ name: `${name}:y`, type: 'float32', dims: [2] }],
    valueInfo: [],
  });
  return withGraph(base, {
    nodes: [
      nodeOf('If', ['condition'], ['y'], {
        attributes: [
          { name: 'then_branch', type: 'graph', value: branch('then', 'Neg') },
          { name: 'else_branch', type: 'graph', value: branch('else', 'Abs') },
        ],
      }),
    ],
  });
}

/** One attribute of every kind, one initializer of every usual type; operators of a domain that no engine knows. */
export function everyKind(): Model {
  const tensors = [
    tensorOf('t.float32', 'float32', [2], Float32Array.of(1.5, -0)),
    tensorOf('t.float64', 'float64', [], Float64Array.of(Math.PI)),
    tensorOf('t.float16', 'float16', [1], Uint16Array.of(0x3c00)),
    tensorOf('t.int8', 'int8', [3], Int8Array.of(-128, 0, 127)),
    tensorOf('t.uint8', 'uint8', [2, 1], Uint8Array.of(0, 255)),
    tensorOf('t.int16', 'int16', [1], Int16Array.of(-1)),
    tensorOf('t.uint16', 'uint16', [1], Uint16Array.of(65_535)),
    tensorOf('t.int32', 'int32', [1], Int32Array.of(-7)),
    tensorOf('t.uint32', 'uint32', [1], Uint32Array.of(4_294_967_295)),
    tensorOf('t.int64', 'int64', [2], BigInt64Array.of(-(2n ** 63n), 5n)),
    tensorOf('t.uint64', 'uint64', [1], BigUint64Array.of(2n ** 64n - 1n)),
    tensorOf('t.bool', 'bool', [2], Uint8Array.of(1, 0)),
    tensorOf('t.empty', 'float32', [0, 3], new Float32Array(0)),
    { name: 't.string', type: 'string', dims: [2], bytes: new Uint8Array(0), strings: [bytesOf('a'), bytesOf('ü')] },
    { name: 't.int4', type: 'int4', dims: [3], bytes: Uint8Array.of(0x21, 0x03) },
  ] as const;
  return {
    irVersion: 8,
    opsets: new Map([
      ['', 18],
      ['test', 1],
    ]),
    producerName: 'test',
    producerVersion: '1',
    domain: 'org.test',
    modelVersion: 3,
    metadata: new Map([
      ['__proto__', 'a plain key'],
      ['empty', ''],
    ]),
    graph: {
      name: 'every kind',
      initializers: tensors,
      inputs: [{ name: 'x', type: 'float32', dims: [undefined, 'n', 4, 0] }],
      outputs: [{ name: 'y', type: 'float32', dims: undefined }],
      valueInfo: [{ name: 'hidden', type: undefined, dims: undefined }],
      nodes: [
        nodeOf('Everything', ['x', '', 't.int8'], ['y', '', 'hidden'], {
          name: 'everything',
          domain: 'test',
          attributes: [
            { name: 'float', type: 'float', value: 0.5 },
            { name: 'int', type: 'int', value: -3 },
            { name: 'beyond', type: 'int', value: 2n ** 63n - 1n },
            { name: 'string', type: 'string', value: Uint8Array.of(0xff, 0) },
            { name: 'tensor', type: 'tensor', value: tensors[0] },
            { name: 'floats', type: 'floats', value: [0.25, -2] },
            { name: 'ints', type: 'ints', value: [0, -1, 2 ** 52, -(2n ** 63n)] },
            { name: 'strings', type: 'strings', value: [bytesOf('b'), bytesOf('')] },
            { name: 'tensors', type: 'tensors', value: [tensors[3], tensors[9]] },
            { name: 'graphs', type: 'graphs', value: [] },
          ],
        }),
      ],
    },
  };
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
