import { OnnxError } from '../error.ts';
import type { Model, Node, Tensor } from '../model.ts';
import { FreshNames, nameNodes } from '../rewrite/names.ts';
import { IntegerOps } from './integer-ops.ts';
import { type Candidate, planDynamic } from './plan.ts';
import type { NodeOutcome, QuantizationReport } from './report.ts';
import { WeightStore } from './weight-store.ts';

export interface DynamicQuantizationOptions {
  /** A scale for every output channel instead of one for the matrix; default true. */
  readonly perChannel?: boolean;
  /** 7-bit weights: default true, which is right on every CPU. False only where the CPUs that serve have VNNI (`cpu.ts`). */
  readonly reduceRange?: boolean;
  /** Nodes that stay float, by the names that `nameNodes` gives. */
  readonly exclude?: readonly string[];
}

/** What was done to a model, in its metadata: JSON of the options. */
export const quantizationMetadataKey = 'goto3.quantization';

/**
 * Dynamic int8 quantization: weights become int8 now, activations are quantized as they come. MatMul and Gemm with a
 * constant matrix become DynamicQuantizeLinear + MatMulInteger, embedding tables int8 rows; everything else stays as it
 * is. `model` is not changed. When nothing is left to do (as on a model that is quantized already) it is returned itself
 * and the report says so. Activations are quantized over the whole batch, so a row's result depends a little on its
 * neighbours. Throws `OnnxError` when `exclude` names a node that does not exist.
 */
export function quantizeDynamic(
  model: Model,
  { perChannel = true, reduceRange = true, exclude = [] }: DynamicQuantizationOptions = {},
): { model: Model; report: QuantizationReport } {
  const { graph } = nameNodes(model);
  const excluded = new Set(exclude);
  for (const { name } of graph.nodes) excluded.delete(name);
  for (const unknown of excluded) throw new OnnxError(`exclude: the model has no node "${unknown}"`);

  const plan = planDynamic(graph, { reduceRange, exclude: new Set(exclude) });
  const candidates = [...plan.decisions.values()].filter((decision) => decision.decision === 'quantize');
  const names = new FreshNames(graph);
  const weights = new WeightStore(candidates, names, { perChannel, reduceRange });
  const ops = new IntegerOps(weights, names);
  const nodes = graph.nodes.flatMap((node, i) => {
    const decision = plan.decisions.get(i);
    return decision?.decision === 'quantize' ? integerForm(ops, node, decision) : [node];
  });
  const replaced = new Set(candidates.map(({ weight }) => weight.name));
  const initializers = [
    ...graph.initializers.filter(({ name }) => !replaced.has(name)),
    ...weights.initializers,
    ...ops.initializers,
  ];
  const changed = candidates.length > 0;
  const report: QuantizationReport = {
    options: { perChannel, reduceRange },
    changed,
    nodes: [...plan.decisions].map(([i, decision]) => outcome(graph.nodes[i]!, decision)),
    weights: weights.outcomes,
    nodesInSubgraphs: plan.nodesInSubgraphs,
    bytesBefore: totalBytes(graph.initializers),
    bytesAfter: totalBytes(initializers),
  };
  if (!changed) return { model, report };

  const valueInfo = graph.valueInfo.filter(({ name }) => !replaced.has(name));
  const description = JSON.stringify({ method: 'dynamic', weights: 'int8', perChannel, reduceRange });
  return {
    model: {
      ...model,
      graph: { ...graph, nodes, initializers, valueInfo },
      metadata: new Map([...model.metadata, [quantizationMetadataKey, description]]),
    },
    report,
  };
}

function integerForm(ops: IntegerOps, node: Node, candidate: Candidate): Node[] {
  if (candidate.role === 'table') return ops.gather(node, candidate);
  return node.opType === 'Gemm' ? ops.gemm(node, candidate) : ops.matMul(node, candidate);
}

function outcome(node: Node, decision: Candidate | { decision: 'skip'; reason: string }): NodeOutcome {
  const { name, opType } = node;
  return decision.decision === 'quantize'
    ? { node: name, opType, outcome: 'quantized', weight: decision.weight.name }
    : { node: name, opType, outcome: 'skipped', reason: decision.reason };
}

const totalBytes = (tensors: readonly Tensor[]): number =>
  tensors.reduce((sum, { bytes }) => sum + bytes.byteLength, 0);
