import { OnnxError } from '../error.ts';
import type { Attribute, Graph, Model, Node } from '../model.ts';
import { FreshNames, nameNodes } from '../rewrite/names.ts';
import { nestedGraphs } from '../rewrite/nested.ts';
import { tensorSize } from '../tensor.ts';
import { type Constant, Scope } from './constants.ts';
import { integerForm } from './integer-form.ts';
import { IntegerOps, microsoftDomain } from './integer-ops.ts';
import { type Decision, isCandidate, type Plan, planDynamic } from './plan.ts';
import type { NodeOutcome, QuantizationReport, WeightOutcome } from './report.ts';
import { WeightStore } from './weight-store.ts';

export interface DynamicQuantizationOptions {
  /** A scale for every output channel instead of one for the matrix; default true. */
  readonly perChannel?: boolean;
  /** 7-bit weights: default true, which is right on every CPU. False only where the CPUs that serve have VNNI (`cpu.ts`). */
  readonly reduceRange?: boolean;
  /** MatMul and Gemm with fewer weights stay float; default 0. `fewestThatPay` (`pays.ts`) is where int8 begins to win. */
  readonly smallest?: number;
  /** Nodes that stay float, by the names that `nameNodes` gives. */
  readonly exclude?: readonly string[];
  /** Called as soon as a weight is int8: heavy models take seconds. */
  readonly onWeight?: (outcome: WeightOutcome) => void;
}

/** What was done to a model, in its metadata: JSON of the options. */
export const quantizationMetadataKey = 'goto3.quantization';

/**
 * Dynamic int8 quantization: weights become int8 now, activations are quantized as they come. MatMul and Gemm with a
 * constant matrix become DynamicQuantizeLinear + MatMulInteger, LSTMs onnxruntime's DynamicQuantizeLSTM, embedding
 * tables int8 rows, in the bodies of If, Loop and Scan too; everything else stays as it is. `model` is not changed. When
 * nothing is left to do (as on a model that is quantized already) it is returned itself and the report says so.
 * Activations are quantized over the whole batch, so a row's result depends a little on its neighbours. Throws
 * `OnnxError` when `exclude` names a node that does not exist.
 */
export function quantizeDynamic(
  model: Model,
  {
    perChannel = true,
    reduceRange = true,
    smallest = 0,
    exclude = [],
    onWeight = () => {},
  }: DynamicQuantizationOptions = {},
): { model: Model; report: QuantizationReport } {
  const { graph } = nameNodes(model);
  const excluded = new Set(exclude);
  for (const { nodes } of [graph, ...nestedGraphs(graph)]) for (const { name } of nodes) excluded.delete(name);
  for (const unknown of excluded) throw new OnnxError(`exclude: the model has no node "${unknown}"`);

  const root = new Scope(graph);
  const plan = planDynamic(root, { reduceRange, smallest, exclude: new Set(exclude) });
  const candidates = [...plan.values()].flatMap((decisions) => [...decisions.values()].filter(isCandidate));
  const names = new FreshNames(graph);
  const weights = new WeightStore(candidates, names, { perChannel, reduceRange }, onWeight);
  const replaced = new Set(candidates.flatMap((candidate) => candidate.weights));
  const rewritten = new Rewrite(plan, replaced, weights, names).graph(root);
  const inputsRemoved = graph.inputs.filter(({ name }) => isReplaced(root, name, replaced)).map(({ name }) => name);
  const changed = candidates.length > 0;
  const report: QuantizationReport = {
    options: { perChannel, reduceRange, smallest },
    changed,
    nodes: [...plan].flatMap(([scope, decisions]) =>
      [...decisions].map(([i, decision]) => outcome(scope.graph.nodes[i]!, decision)),
    ),
    weights: weights.outcomes,
    nodesInSubgraphs: [...plan].reduce((sum, [scope, decisions]) => (scope === root ? sum : sum + decisions.size), 0),
    inputsRemoved,
    bytesBefore: constantBytes(graph),
    bytesAfter: constantBytes(rewritten),
  };
  if (!changed) return { model, report };

  const opsets = new Map(model.opsets);
  if (candidates.some(({ role }) => role === 'gates') && !opsets.has(microsoftDomain)) opsets.set(microsoftDomain, 1);
  const description = JSON.stringify({ method: 'dynamic', weights: 'int8', perChannel, reduceRange });
  const metadata = new Map([...model.metadata, [quantizationMetadataKey, description]]);
  return { model: { ...model, opsets, graph: rewritten, metadata }, report };
}

/** Rebuilds graphs from the inside of a plan; what has not changed stays the same object. */
class Rewrite {
  private readonly plan: Plan;
  private readonly replaced: ReadonlySet<Constant>;
  private readonly weights: WeightStore;
  private readonly names: FreshNames;

  constructor(plan: Plan, replaced: ReadonlySet<Constant>, weights: WeightStore, names: FreshNames) {
    this.plan = plan;
    this.replaced = replaced;
    this.weights = weights;
    this.names = names;
  }

  graph(scope: Scope): Graph {
    const { graph } = scope;
    const ops = new IntegerOps(this.weights, this.names);
    const nodes = graph.nodes.flatMap((node, i) => this.node(scope, ops, node, i));
    const added = [...this.weights.of(scope), ...ops.initializers];
    const stays = ({ name }: { name: string }): boolean => !isReplaced(scope, name, this.replaced);
    if (added.length === 0 && nodes.length === graph.nodes.length && nodes.every((node, i) => node === graph.nodes[i]))
      return graph;
    return {
      ...graph,
      nodes,
      inputs: graph.inputs.filter(stays),
      initializers: [...graph.initializers.filter(stays), ...added],
      valueInfo: graph.valueInfo.filter(stays),
    };
  }

  private node(scope: Scope, ops: IntegerOps, node: Node, i: number): readonly Node[] {
    const decision = this.plan.get(scope)?.get(i);
    if (decision !== undefined && isCandidate(decision)) return integerForm(ops, node, decision);
    const carried = scope.carriers.get(i);
    if (carried && this.replaced.has(carried.constant)) return [];
    const bodies = scope.bodies.get(i);
    return bodies ? [this.withBodies(node, bodies)] : [node];
  }

  private withBodies(node: Node, bodies: readonly Scope[]): Node {
    const rewritten = bodies.map((body) => this.graph(body));
    if (rewritten.every((graph, i) => graph === bodies[i]!.graph)) return node;
    let next = 0;
    const attributes = node.attributes.map((attribute): Attribute => {
      if (attribute.type === 'graph') return { ...attribute, value: rewritten[next++]! };
      return attribute.type === 'graphs'
        ? { ...attribute, value: attribute.value.map(() => rewritten[next++]!) }
        : attribute;
    });
    return { ...node, attributes };
  }
}

/** The name stands for a constant of this very graph, as it is or passed on, that is int8 now. */
function isReplaced(scope: Scope, name: string, replaced: ReadonlySet<Constant>): boolean {
  const view = scope.views.get(name);
  return view !== undefined && replaced.has(view.constant);
}

function outcome(node: Node, decision: Decision): NodeOutcome {
  const { name, opType } = node;
  return decision.decision === 'quantize'
    ? { node: name, opType, outcome: 'quantized', weight: decision.weights.map((weight) => weight.name).join(', ') }
    : { node: name, opType, outcome: 'skipped', code: decision.code, reason: decision.reason };
}

/** Initializers and the tensors of Constant nodes, in all graphs. */
function constantBytes(graph: Graph): number {
  let sum = 0;
  for (const { initializers, nodes } of [graph, ...nestedGraphs(graph)]) {
    for (const tensor of initializers) sum += tensorSize(tensor);
    for (const { attributes } of nodes)
      for (const attribute of attributes) if (attribute.type === 'tensor') sum += tensorSize(attribute.value);
  }
  return sum;
}
