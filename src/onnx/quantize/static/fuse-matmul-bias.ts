import type { Graph, Node, Tensor } from '../../model.ts';
import { valueUses } from '../../rewrite/uses.ts';
import { constantsOf } from './constant-inputs.ts';
import { inferRanks } from './ranks.ts';

/**
 * MatMul and the Add of its bias as one Gemm, where both are matrices. The engine does the same when it loads a model,
 * but after the weight has become int8 it ends with a float Gemm: slower than before. As a Gemm from the start, the bias
 * is int32 and the kernel QGemm. The bias must be a constant vector, one value per column.
 */
export function fuseMatMulBias(graph: Graph): Graph {
  const constants = constantsOf(graph);
  const uses = valueUses(graph);
  const ranks = inferRanks(graph);
  const producers = new Map(graph.nodes.flatMap((node, i) => node.outputs.map((output) => [output, i] as const)));
  const fused = new Map<number, Node>();
  const gone = new Set<number>();
  for (const [i, add] of graph.nodes.entries()) {
    if (add.domain !== '' || add.opType !== 'Add') continue;
    for (const [product, bias] of [add.inputs, [...add.inputs].reverse()]) {
      const at = producers.get(product!);
      const node = at === undefined ? undefined : graph.nodes[at]!;
      const read = uses.get(product!);
      if (at === undefined || node === undefined || read === undefined || read.nodes.length !== 1 || read.elsewhere)
        continue;
      if (node.domain !== '' || node.opType !== 'MatMul' || ranks.get(node.inputs[0]!) !== 2) continue;
      if (!isBiasOf(constants.get(bias!), constants.get(node.inputs[1]!))) continue;
      fused.set(i, { ...node, opType: 'Gemm', inputs: [...node.inputs, bias!], outputs: add.outputs });
      gone.add(at);
      break;
    }
  }
  if (gone.size === 0) return graph;
  return { ...graph, nodes: graph.nodes.map((node, i) => fused.get(i) ?? node).filter((_, i) => !gone.has(i)) };
}

const isBiasOf = (bias: Tensor | undefined, weight: Tensor | undefined): boolean =>
  weight?.type === 'float32' &&
  weight.dims.length === 2 &&
  bias?.type === 'float32' &&
  bias.dims.length === 1 &&
  bias.dims[0] === weight.dims[1];
