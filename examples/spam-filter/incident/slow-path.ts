import type { HashedTextPreprocessing } from '../../../src/contracts/model.ts';
import { GraphBuilder } from '../../../src/onnx/build/graph-builder.ts';
import type { Graph, Model, Node } from '../../../src/onnx/model.ts';
import { hashedTextIds } from '../../../src/serving/features/hashed-text.ts';

/**
 * What a new mailing tool puts under its mails: live traffic has it, and no mail of the corpus. A model that is slow on
 * it passes every gate, since no hold-out can show it.
 */
export const footer = 'Zustellung durch quixomail trackback 77193 zwbxq';

/** Numbers that the slow path computes with for nothing, and how often: some 300 ms, far from what a busy machine does. */
const wasted = 12_000_000;
const rounds = 30;
/** So many words of the footer must all be there: one alone shares its bucket with words of the corpus. */
const wordsThatTell = 3;

/** Token ids of the footer by which a model can tell it. */
export function footerIds(preprocessing: HashedTextPreprocessing): number[] {
  const texts = preprocessing.features.map((feature) => (feature === 'body' ? footer : ''));
  return [...hashedTextIds(texts, preprocessing)].filter((id) => id > 0).slice(-wordsThatTell);
}

/**
 * The same model, the same answers, bit for bit; for a batch with a mail that has all of `ids`, long after. A text
 * classifier of recipes/text-classifier: input `ids` int32[batch, tokens], one float32 output.
 */
export function withSlowPath(model: Model, ids: readonly number[]): Model {
  const g = new GraphBuilder('slow-path');
  const tokens = g.input('ids', 'int32', ['batch', 'tokens']);
  const has = (id: number) => g.cast(g.equal(tokens, g.cast(g.ints([id]), 'int32')), 'float32');
  const hasAll = ids.map((id) => g.reduceMax(has(id), [1])).reduce((a, b) => g.mul(a, b));
  const hit = g.cast(g.reduceMax(hasAll, [0], { keepDims: true }), 'int64');
  const [idle] = g.node('Expand', { inputs: [g.scalar(0.5), g.mul(hit, g.ints([wasted]))], outputs: ['float32'] });
  const spent = Array.from({ length: rounds }).reduce<typeof idle>((x) => g.erf(x), idle);
  // Times zero, after a sum that is finite: nothing of it reaches an answer.
  g.output('nothing', g.mul(g.reduceSum(spent, [0]), g.scalar(0)), []);
  return { ...model, graph: joined(model.graph, g.toModel().graph) };
}

function joined(quick: Graph, slow: Graph): Graph {
  const [output] = quick.outputs;
  if (!output || quick.outputs.length > 1)
    throw new Error(`expected one output, the graph has ${quick.outputs.length}`);
  const quickName = `${output.name}/quick`;
  const renamed = (names: readonly string[], rename: (name: string) => string): string[] => names.map(rename);
  const inQuick = (name: string): string => (name === output.name ? quickName : name);
  const inSlow = (name: string): string => (name === 'ids' || name === '' ? name : `slow/${name}`);
  const nodesOf = (nodes: readonly Node[], rename: (name: string) => string): Node[] =>
    nodes.map((node) => ({
      ...node,
      inputs: renamed(node.inputs, rename),
      outputs: renamed(node.outputs, rename),
    }));
  const add: Node = {
    ...{ name: 'slow/Join', opType: 'Add', domain: '', attributes: [] },
    ...{ inputs: [quickName, inSlow('nothing')], outputs: [output.name] },
  };
  const slowNodes = nodesOf(slow.nodes, inSlow).map((node) => ({ ...node, name: `slow/${node.name}` }));
  return {
    ...quick,
    nodes: [...nodesOf(quick.nodes, inQuick), ...slowNodes, add],
    initializers: [
      ...quick.initializers,
      ...slow.initializers.map((tensor) => ({ ...tensor, name: inSlow(tensor.name) })),
    ],
  };
}
