import { floatAttribute, intAttribute } from '../../attribute.ts';
import type { Graph, Node, Tensor } from '../../model.ts';
import { FreshNames } from '../../rewrite/names.ts';
import { valueUses } from '../../rewrite/uses.ts';
import { tensorOf, valuesOf } from '../../tensor.ts';
import { constantsOf } from './constant-inputs.ts';

/**
 * Every BatchNormalization that follows a Conv, in the Conv's weight and bias: a·(W∗x + b − mean) + beta with
 * a = gamma / √(variance + epsilon), computed in double precision and rounded once. A normalisation that cannot be
 * folded (another reader of the Conv, parameters that are not constant, training mode) stays.
 */
export function foldBatchNorm(graph: Graph): Graph {
  const constants = constantsOf(graph);
  const uses = valueUses(graph);
  const producers = new Map(graph.nodes.flatMap((node, i) => node.outputs.map((output) => [output, i] as const)));
  const names = new FreshNames(graph);
  const folded = new Map<number, Node>();
  const gone = new Set<number>();
  const initializers: Tensor[] = [];
  for (const [i, norm] of graph.nodes.entries()) {
    if (norm.domain !== '' || norm.opType !== 'BatchNormalization') continue;
    const at = producers.get(norm.inputs[0]!);
    const conv = at === undefined ? undefined : graph.nodes[at]!;
    if (at === undefined || conv?.opType !== 'Conv' || conv.domain !== '') continue;
    const read = uses.get(conv.outputs[0]!)!;
    const affine = normalisation(norm, constants);
    if (read.nodes.length !== 1 || read.elsewhere || affine === undefined) continue;
    const merged = mergedConv(conv, affine, constants, names);
    if (merged === undefined) continue;
    initializers.push(...merged.initializers);
    folded.set(at, { ...merged.node, outputs: [norm.outputs[0]!] });
    gone.add(i);
  }
  if (gone.size === 0) return graph;
  const nodes = graph.nodes.map((node, i) => folded.get(i) ?? node).filter((_, i) => !gone.has(i));
  return { ...graph, nodes, initializers: [...graph.initializers, ...initializers] };
}

/** y = factor[c]·x + offset[c] */
interface Affine {
  readonly factor: Float64Array;
  readonly offset: Float64Array;
}

function normalisation(node: Node, constants: ReadonlyMap<string, Tensor>): Affine | undefined {
  if (intAttribute(node, 'training_mode', 0) !== 0 || node.outputs.filter((name) => name !== '').length !== 1) return;
  const parameters = node.inputs.slice(1).map((name) => constants.get(name));
  if (parameters.length !== 4 || !parameters.every((tensor) => tensor?.type === 'float32')) return;
  const [gamma, beta, mean, variance] = parameters.map((tensor) => valuesOf(tensor!, 'float32'));
  const epsilon = floatAttribute(node, 'epsilon', 1e-5);
  const factor = Float64Array.from(gamma!, (value, c) => value / Math.sqrt(variance![c]! + epsilon));
  return { factor, offset: Float64Array.from(beta!, (value, c) => value - mean![c]! * factor[c]!) };
}

function mergedConv(
  conv: Node,
  { factor, offset }: Affine,
  constants: ReadonlyMap<string, Tensor>,
  names: FreshNames,
): { node: Node; initializers: Tensor[] } | undefined {
  const [x, weightName, biasName = ''] = conv.inputs;
  const weight = constants.get(weightName!);
  const bias = constants.get(biasName);
  if (weight?.type !== 'float32' || weight.dims[0] !== factor.length) return;
  if (biasName !== '' && bias?.type !== 'float32') return;
  const perChannel = weight.dims.slice(1).reduce((product, dim) => product * dim, 1);
  const scaled = Float32Array.from(
    valuesOf(weight, 'float32'),
    (value, i) => value * factor[Math.floor(i / perChannel)]!,
  );
  const floats = bias === undefined ? undefined : valuesOf(bias, 'float32');
  const shifted = Float32Array.from(offset, (value, c) => (floats === undefined ? 0 : floats[c]! * factor[c]!) + value);
  const initializers = [
    tensorOf(names.fresh(`${weightName}_folded`), 'float32', weight.dims, scaled),
    tensorOf(names.fresh(`${biasName || conv.name}_folded_bias`), 'float32', [factor.length], shifted),
  ];
  return { node: { ...conv, inputs: [x!, ...initializers.map(({ name }) => name)] }, initializers };
}
