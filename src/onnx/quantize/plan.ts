import { floatAttribute, intAttribute } from '../attribute.ts';
import type { Graph, Node, Tensor } from '../model.ts';
import { nestedGraphs } from '../rewrite/nested.ts';
import { valueUses } from '../rewrite/uses.ts';
import { valuesOf } from '../tensor.ts';
import { integerRange } from './scale.ts';
import { largestWeight } from './weight.ts';

/** How a node uses its constant matrix: as B [k, n], as B [n, k] that is transposed first, or row by row as a table. */
export type WeightRole = 'columns' | 'transposed' | 'table';

export interface Candidate {
  readonly decision: 'quantize';
  readonly weight: Tensor;
  readonly shape: readonly [number, number];
  readonly role: WeightRole;
  /** Factor on the weight (Gemm's alpha). */
  readonly alpha: number;
}
export interface Skip {
  readonly decision: 'skip';
  readonly reason: string;
}

export interface Plan {
  /** By node index; operators without weights are not in it. */
  readonly decisions: ReadonlyMap<number, Candidate | Skip>;
  readonly nodesInSubgraphs: number;
}

const operators: ReadonlySet<string> = new Set(['MatMul', 'Gemm', 'Gather']);
const isOperator = (node: Node): boolean => node.domain === '' && operators.has(node.opType);

/**
 * Decides node by node what becomes int8. Only constant float32 matrices do: products of two activations (attention)
 * stay float. A weight that anything still needs in float is left alone, since two copies would be larger than one.
 */
export function planDynamic(
  graph: Graph,
  { reduceRange, exclude }: { reduceRange: boolean; exclude: ReadonlySet<string> },
): Plan {
  const constants = new Map(graph.initializers.map((tensor) => [tensor.name, tensor]));
  const overridable = new Set(graph.inputs.map(({ name }) => name));
  const decisions = new Map<number, Candidate | Skip>();
  for (const [i, node] of graph.nodes.entries()) {
    if (!isOperator(node)) continue;
    decisions.set(i, exclude.has(node.name) ? skip('excluded') : decide(node, constants, overridable, reduceRange));
  }
  dropWeightsNeededInFloat(graph, decisions);
  const nodesInSubgraphs = nestedGraphs(graph).flatMap(({ nodes }) => nodes.filter(isOperator)).length;
  return { decisions, nodesInSubgraphs };
}

function decide(
  node: Node,
  constants: ReadonlyMap<string, Tensor>,
  overridable: ReadonlySet<string>,
  reduceRange: boolean,
): Candidate | Skip {
  // The engine would refuse it; a rewrite must not make nonsense of it.
  if (!node.inputs[0] || !node.inputs[1] || node.outputs.length !== 1) return skip('it lacks an input or an output');
  const isTable = node.opType === 'Gather';
  const name = node.inputs[isTable ? 0 : 1]!;
  const weight = constants.get(name);
  if (weight === undefined) return skip(isTable ? 'its data are not a constant' : 'its second input is not a constant');
  if (overridable.has(name)) return skip(`weight "${name}" is also a graph input, which may replace it`);
  if (weight.type !== 'float32') return skip(`weight "${name}" is ${weight.type}, expected float32`);
  const [rows, columns] = weight.dims;
  if (weight.dims.length !== 2 || rows === undefined || columns === undefined) {
    return skip(`weight "${name}" has rank ${weight.dims.length}, expected 2`);
  }
  if (rows * columns === 0) return skip(`weight "${name}" is empty`);
  const isGemm = node.opType === 'Gemm';
  const alpha = isGemm ? floatAttribute(node, 'alpha', 1) : 1;
  if (!valuesOf(weight, 'float32').every((value) => Math.abs(value * alpha) <= largestWeight)) {
    return skip(`weight "${name}" holds a value that is not finite or beyond 2^126`);
  }
  const candidate = { decision: 'quantize', weight, shape: [rows, columns], alpha } as const;
  if (isTable) {
    const axis = intAttribute(node, 'axis', 0);
    if (axis !== 0 && axis !== -2) return skip(`it gathers along axis ${axis}, expected rows (axis 0)`);
    if (columns + 4 >= 4 * columns) return skip(`rows of ${columns} would not shrink: a row's scale takes 4 bytes`);
    return { ...candidate, role: 'table' };
  }
  if (isGemm && intAttribute(node, 'transA', 0) !== 0) return skip('its first input is transposed (transA)');
  const transB = isGemm && intAttribute(node, 'transB', 0) !== 0;
  const depth = transB ? columns : rows;
  if (depth > largestDepth(reduceRange)) return skip(`sums of ${depth} products may overflow 32 bits`);
  return { ...candidate, role: transB ? 'transposed' : 'columns' };
}

/** Longest sum of products u8 × s8 that int32 surely holds. */
const largestDepth = (reduceRange: boolean): number =>
  Math.floor((2 ** 31 - 1) / (255 * integerRange({ type: 'int8', symmetric: true, reduceRange }).max));

function dropWeightsNeededInFloat(graph: Graph, decisions: Map<number, Candidate | Skip>): void {
  const uses = valueUses(graph);
  const byWeight = new Map<string, Set<number>>();
  for (const [i, decision] of decisions) {
    if (decision.decision !== 'quantize') continue;
    const { name } = decision.weight;
    byWeight.set(name, (byWeight.get(name) ?? new Set()).add(i));
  }
  for (const [name, candidates] of byWeight) {
    const { nodes, elsewhere } = uses.get(name)!;
    // Each candidate reads its weight once; a second time is as its activation or bias, and that is in float.
    const seen = new Set<number>();
    const isRepeat = (reader: number): boolean => seen.size === seen.add(reader).size;
    const inFloat = nodes.find((reader) => !candidates.has(reader) || isRepeat(reader));
    if (inFloat === undefined && !elsewhere) continue;
    const reader = inFloat === undefined ? 'a subgraph or the output' : `node "${graph.nodes[inFloat]!.name}"`;
    for (const i of candidates) decisions.set(i, skip(`weight "${name}" is needed in float by ${reader}`));
  }
}

const skip = (reason: string): Skip => ({ decision: 'skip', reason });
