import { strict as assert } from 'node:assert';
import { OnnxError } from '../../src/onnx/error.ts';
import type { Model } from '../../src/onnx/model.ts';
import { validateModel } from '../../src/onnx/validate.ts';
import { conditional, nodeOf, textClassifier, withGraph, withNode } from './models.ts';

const sound = textClassifier();
const { graph } = sound;

const cases: [what: string, model: Model, message: RegExp][] = [
  ['an operator set too old', { ...sound, opsets: new Map([['', 9]]) }, /operator set 9 is not supported, expected 11/],
  ['an operator set too new', { ...sound, opsets: new Map([['', 99]]) }, /operator set 99 is not supported/],
  ['no standard operator set', { ...sound, opsets: new Map([['x', 1]]) }, /does not import the standard operator set/],
  ['an IR version too old', { ...sound, irVersion: 3 }, /IR version 3/],
  ['a domain that is not imported', withNode(sound, 0, { domain: 'com.acme' }), /does not import domain "com.acme"/],
  ['an input that nothing computes', withNode(sound, 1, { inputs: ['ghost'] }), /node 1 .*nothing computes .*"ghost"/],
  [
    'an output that nothing computes',
    withGraph(sound, { outputs: [{ name: 'no', type: 'float32', dims: [] }] }),
    /"no"/,
  ],
  ['a node without operator', withNode(sound, 0, { opType: '' }), /node 0 .*no operator type/],
  ['two nodes with one output', withGraph(sound, { nodes: [...graph.nodes, graph.nodes[0]!] }), /defined twice/],
  [
    'two inputs of one name',
    withGraph(sound, { inputs: [...graph.inputs, ...graph.inputs] }),
    /input "ids" occurs twice/,
  ],
  ['two outputs of one name', withGraph(sound, { outputs: [...graph.outputs, ...graph.outputs] }), /occurs twice/],
  [
    'two initializers of one name',
    withGraph(sound, { initializers: [...graph.initializers, graph.initializers[0]!] }),
    /initializer "table" occurs twice/,
  ],
  [
    'a tensor of the wrong size',
    withGraph(sound, { initializers: graph.initializers.map((tensor) => ({ ...tensor, dims: [7, ...tensor.dims] })) }),
    /initializer "table": float32\[7, 50, 8\] takes 11200 bytes, it has 1600/,
  ],
  [
    'a repeated attribute',
    withNode(sound, 0, { attributes: [...graph.nodes[0]!.attributes, ...graph.nodes[0]!.attributes] }),
    /attribute "axis" occurs twice/,
  ],
  [
    'a cycle',
    withGraph(sound, { nodes: [nodeOf('Add', ['ids', 'b'], ['a']), nodeOf('Neg', ['a'], ['b']), ...graph.nodes] }),
    /"b" depends on its own output: a cycle/,
  ],
  [
    'nodes out of order',
    withGraph(sound, { nodes: [...graph.nodes].reverse() }),
    /is computed later; nodes must be in topological order/,
  ],
];

describe('onnx/validate', () => {
  it('accepts sound models, also with subgraphs that use outer values', () => {
    validateModel(sound);
    validateModel(conditional());
  });

  for (const [what, model, message] of cases) {
    it(`refuses ${what}`, () => {
      assert.throws(
        () => validateModel(model),
        (error) => error instanceof OnnxError && message.test(error.message),
        message.source,
      );
    });
  }

  it('refuses a subgraph that uses a value made after its node', () => {
    const model = conditional();
    const branches = model.graph.nodes[0]!;
    const late = {
      name: 'late',
      type: 'graph',
      value: { ...model.graph, inputs: [], nodes: [nodeOf('Neg', ['after'], ['y'])] },
    } as const;
    const nodes = [{ ...branches, attributes: [late] }, nodeOf('Neg', ['x'], ['after'])];
    assert.throws(
      () => validateModel(withGraph(model, { nodes })),
      /attribute "late": node 0 \(Neg\): nothing computes/,
    );
  });

  it('checks a long chain and many subgraphs in a moment', () => {
    const count = 20_000;
    const chain = Array.from({ length: count }, (_, i) => nodeOf('Neg', [i === 0 ? 'x' : `v${i - 1}`], [`v${i}`]));
    const model = conditional();
    const branches = Array.from({ length: 2_000 }, (_, i) => ({ ...model.graph.nodes[0]!, outputs: [`if${i}`] }));
    const start = performance.now();
    validateModel(withGraph(model, { nodes: [...chain, ...branches, model.graph.nodes[0]!] }));
    assert.ok(performance.now() - start < 1_000);
  });
});
