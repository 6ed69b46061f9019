import { floatsOf } from '../floats.ts';
import type { Model, Node } from '../model.ts';
import { constantsOf } from './constants.ts';

/**
 * Puts ONNX Runtime's own Gelu (domain com.microsoft) where a graph spells it out, x · (erf(x / √2) + 1) · 0.5: one pass
 * forward instead of five, and the backward pass needs x alone, which is a third of the memory of a training step. The
 * engine would do the same for inference; in a training graph it cannot, because the backward pass uses what lies between.
 */
export function fuseGelu(model: Model): Model {
  const { nodes, outputs } = model.graph;
  const constants = constantsOf(model.graph);
  const uses = new Map<string, Node[]>();
  for (const node of nodes) for (const name of node.inputs) uses.set(name, [...(uses.get(name) ?? []), node]);
  const kept = new Set(outputs.map(({ name }) => name));
  /** The only node that reads the value. */
  const next = (node: Node | undefined, opType: string): Node | undefined => {
    const name = node?.outputs[0] ?? '';
    const [only, ...others] = uses.get(name) ?? [];
    return only?.opType === opType && others.length === 0 && !kept.has(name) ? only : undefined;
  };
  const holds = (name: string | undefined, value: number): boolean => {
    const tensor = constants.get(name ?? '');
    if (tensor?.type !== 'float32' || tensor.dims.some((size) => size !== 1)) return false;
    return Math.abs(floatsOf(tensor)[0]! - value) <= 1e-6 * value;
  };
  const other = (node: Node, than: string): string | undefined => node.inputs.find((name) => name !== than);

  const replaced = new Map<Node, Node | undefined>();
  for (const scaled of nodes) {
    const x = scaled.inputs[0];
    if (scaled.opType !== 'Div' || x === undefined || !holds(scaled.inputs[1], Math.SQRT2)) continue;
    const erf = next(scaled, 'Erf');
    const plusOne = next(erf, 'Add');
    const product = next(plusOne, 'Mul');
    const half = next(product, 'Mul');
    if (erf === undefined || plusOne === undefined || product === undefined || half === undefined) continue;
    if (!holds(other(plusOne, erf.outputs[0]!), 1) || other(product, plusOne.outputs[0]!) !== x) continue;
    if (!holds(other(half, product.outputs[0]!), 0.5)) continue;
    for (const node of [scaled, erf, plusOne, product]) replaced.set(node, undefined);
    replaced.set(half, { ...half, opType: 'Gelu', domain: 'com.microsoft', inputs: [x], attributes: [] });
  }
  if (replaced.size === 0) return model;
  const remaining = nodes.flatMap((node) => (replaced.has(node) ? (replaced.get(node) ?? []) : node));
  const stillUsed = new Set([...remaining.flatMap(({ inputs }) => inputs), ...kept]);
  return {
    ...model,
    opsets: new Map([...model.opsets, ['com.microsoft', 1]]),
    graph: {
      ...model.graph,
      nodes: remaining,
      initializers: model.graph.initializers.filter(({ name }) => !uses.has(name) || stillUsed.has(name)),
    },
  };
}
