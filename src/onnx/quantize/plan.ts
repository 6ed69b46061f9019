import { floatAttribute, intAttribute } from '../attribute.ts';
import type { Node } from '../model.ts';
import { valueUses } from '../rewrite/uses.ts';
import type { Constant, ConstantView, Scope } from './constants.ts';
import { integerRange } from './scale.ts';
import { largestWeight } from './weight.ts';
import { largestMagnitude } from './weight-loops.ts';

/**
 * How a node uses its constant: as B [.., k, n]; as B [n, k] that is transposed first; row by row as a table; as the
 * input and recurrence weights of an LSTM.
 */
export type WeightRole = 'columns' | 'transposed' | 'table' | 'gates';

export interface Candidate {
  readonly decision: 'quantize';
  /** One, or an LSTM's two: W and R. */
  readonly weights: readonly [Constant, ...Constant[]];
  readonly role: WeightRole;
  /** Factor on the weight (Gemm's alpha). */
  readonly alpha: number;
  /** Of a table: its rows are summed or averaged before anything else reads them. */
  readonly isSummed?: boolean;
}

/** Why a node stays float, for programs; the report has the sentence for people. */
export type SkipCode =
  | 'excluded'
  | 'malformed'
  | 'notConstant'
  | 'weightType'
  | 'weightShape'
  | 'weightValues'
  | 'wouldNotShrink'
  | 'wouldNotPay'
  | 'overflow'
  | 'neededInFloat'
  | 'unsupported';
export interface Skip {
  readonly decision: 'skip';
  readonly code: SkipCode;
  readonly reason: string;
}
export type Decision = Candidate | Skip;
export const isCandidate = (decision: Decision): decision is Candidate => decision.decision === 'quantize';

/** By node index in each graph; operators without weights are not in it. */
export type Plan = ReadonlyMap<Scope, ReadonlyMap<number, Decision>>;

export interface PlanOptions {
  readonly reduceRange: boolean;
  /** MatMul and Gemm with fewer weights stay float. */
  readonly smallest: number;
  readonly exclude: ReadonlySet<string>;
}

/** Operators that the dynamic rewrite knows; everything else keeps its place. */
const operators: ReadonlySet<string> = new Set(['MatMul', 'Gemm', 'Gather', 'LSTM']);

/**
 * Decides node by node what becomes int8. Only constant matrices do: products of two activations (attention) stay float.
 * A weight that anything still needs in float is left alone, since two copies would be larger than one.
 */
export function planDynamic(root: Scope, { reduceRange, smallest, exclude }: PlanOptions): Plan {
  const largest = new LargestMagnitudes();
  const plan = new Map<Scope, Map<number, Decision>>();
  for (const scope of root.all()) {
    const decisions = new Map<number, Decision>();
    for (const [i, node] of scope.graph.nodes.entries()) {
      if (node.domain !== '' || !operators.has(node.opType)) continue;
      const decision = exclude.has(node.name)
        ? skip('excluded', 'excluded')
        : decide(node, scope, { reduceRange, smallest }, largest);
      decisions.set(i, decision);
    }
    plan.set(scope, decisions);
  }
  dropWeightsNeededInFloat(root, plan);
  return plan;
}

/** Each weight is looked through once, however many nodes share it. */
class LargestMagnitudes {
  private readonly known = new Map<Constant, number>();
  of(constant: Constant): number {
    const magnitude = this.known.get(constant) ?? largestMagnitude(constant.tensor);
    this.known.set(constant, magnitude);
    return magnitude;
  }
}

function decide(
  node: Node,
  scope: Scope,
  { reduceRange, smallest }: Omit<PlanOptions, 'exclude'>,
  largest: LargestMagnitudes,
): Decision {
  // The engine would refuse it; a rewrite must not make nonsense of it.
  if (!node.inputs[0] || !node.inputs[1]) return skip('malformed', 'it lacks an input');
  if (node.opType === 'LSTM') return decideLstm(node, scope, reduceRange, largest);
  if (node.outputs.length !== 1) return skip('malformed', `it has ${node.outputs.length} outputs, expected 1`);
  const isTable = node.opType === 'Gather';
  const view = scope.resolve(node.inputs[isTable ? 0 : 1]!);
  if (!view) return skip('notConstant', isTable ? 'its data are not a constant' : 'its second input is not a constant');
  const { constant } = view;
  const isGemm = node.opType === 'Gemm';
  const alpha = isGemm ? floatAttribute(node, 'alpha', 1) : 1;
  const unfit = unfitWeight(constant, alpha, () => largest.of(constant));
  if (unfit) return unfit;
  const { dims } = constant.tensor;
  const candidate = { decision: 'quantize', weights: [constant], alpha } as const;
  if (isTable) return decideTable(node, view, { ...candidate, isSummed: isSummed(node, scope) });
  if (node.opType === 'MatMul' ? dims.length < 1 : dims.length !== 2)
    return skip(
      'weightShape',
      `weight "${constant.name}" has rank ${dims.length}, expected ${isGemm ? 2 : '1 or more'}`,
    );
  const weights = dims.reduce((product, dim) => product * dim, 1);
  if (weights < smallest)
    return skip('wouldNotPay', `weight "${constant.name}" has ${weights} numbers: below ${smallest} float is faster`);
  const isTransposed = view.isTransposed !== (isGemm && intAttribute(node, 'transB', 0) !== 0);
  const depth = dims.length === 1 || isTransposed ? dims.at(-1)! : dims.at(-2)!;
  if (depth > largestDepth(reduceRange)) return skip('overflow', `sums of ${depth} products may overflow 32 bits`);
  return { ...candidate, role: isTransposed ? 'transposed' : 'columns' };
}

function decideTable(
  node: Node,
  { constant, isTransposed }: ConstantView,
  candidate: Omit<Candidate, 'role'>,
): Decision {
  const { dims } = constant.tensor;
  if (dims.length !== 2 || isTransposed)
    return skip('weightShape', `table "${constant.name}" has rank ${dims.length}, expected 2, as rows`);
  const axis = intAttribute(node, 'axis', 0);
  if (axis !== 0 && axis !== -2) return skip('unsupported', `it gathers along axis ${axis}, expected rows (axis 0)`);
  const columns = dims[1]!;
  if (columns + 4 >= 4 * columns)
    return skip('wouldNotShrink', `rows of ${columns} would not shrink: a row's scale takes 4 bytes`);
  return { ...candidate, role: 'table' };
}

/** A bag of tokens: all that reads the rows adds them up. */
function isSummed({ outputs: [rows] }: Node, { graph }: Scope): boolean {
  const uses = valueUses(graph).get(rows!);
  const sums = ({ domain, opType }: Node): boolean => domain === '' && /^Reduce(Sum|Mean)$/.test(opType);
  return uses !== undefined && !uses.elsewhere && uses.nodes.every((i) => sums(graph.nodes[i]!));
}

/** onnxruntime's DynamicQuantizeLSTM takes sequences first; P (peepholes) and all states stay float. */
function decideLstm(node: Node, scope: Scope, reduceRange: boolean, largest: LargestMagnitudes): Decision {
  if (intAttribute(node, 'layout', 0) !== 0)
    return skip('unsupported', 'its batches come first (layout 1), which the int8 kernel does not read');
  const weights: Constant[] = [];
  for (const input of [node.inputs[1], node.inputs[2]]) {
    const view = input ? scope.resolve(input) : undefined;
    if (!view) return skip('notConstant', 'its weights are not constants');
    const { constant } = view;
    const { type, dims } = constant.tensor;
    if (type !== 'float32') return skip('weightType', `weight "${constant.name}" is ${type}, expected float32`);
    if (dims.length !== 3) return skip('weightShape', `weight "${constant.name}" has rank ${dims.length}, expected 3`);
    const unfit = unfitWeight(constant, 1, () => largest.of(constant));
    if (unfit) return unfit;
    if (dims[2]! > largestDepth(reduceRange))
      return skip('overflow', `sums of ${dims[2]} products may overflow 32 bits`);
    weights.push(constant);
  }
  return { decision: 'quantize', weights: weights as [Constant, Constant], role: 'gates', alpha: 1 };
}

function unfitWeight({ name, tensor }: Constant, alpha: number, largest: () => number): Skip | undefined {
  if (tensor.type !== 'float32' && tensor.type !== 'float16')
    return skip('weightType', `weight "${name}" is ${tensor.type}, expected float32 or float16`);
  if (tensor.dims.includes(0)) return skip('weightShape', `weight "${name}" is empty`);
  // Written so that NaN is caught.
  if (!(largest() * Math.abs(alpha) <= largestWeight))
    return skip('weightValues', `weight "${name}" holds a value that is not finite or beyond 2^126`);
  return undefined;
}

/** Longest sum of products u8 × s8 that int32 surely holds. */
const largestDepth = (reduceRange: boolean): number =>
  Math.floor((2 ** 31 - 1) / (255 * integerRange({ type: 'int8', symmetric: true, reduceRange }).max));

/**
 * A node that turns out to stay float may be what another weight is needed in float for (an LSTM has two), so it goes
 * round until nothing changes.
 */
function dropWeightsNeededInFloat(root: Scope, plan: ReadonlyMap<Scope, Map<number, Decision>>): void {
  const readers = readersOf(root);
  for (let changed = true; changed; ) {
    changed = false;
    for (const [constant, list] of readers) {
      const inFloat = list.find((reader) => !readsAsWeight(reader, constant, plan));
      if (!inFloat) continue;
      const who = inFloat.node === undefined ? "a graph's output" : `node "${inFloat.node.name}"`;
      for (const { scope, index } of list) {
        const decision = plan.get(scope)?.get(index);
        if (decision?.decision !== 'quantize' || !decision.weights.includes(constant)) continue;
        const reason = `weight "${constant.name}" is needed in float by ${who}`;
        plan.get(scope)!.set(index, skip('neededInFloat', reason));
        changed = true;
      }
    }
  }
}

interface Reader {
  readonly scope: Scope;
  /** Undefined: a graph's own output. */
  readonly node: Node | undefined;
  readonly index: number;
  /** How many of the node's inputs are this constant. */
  times: number;
}

function readersOf(root: Scope): ReadonlyMap<Constant, readonly Reader[]> {
  const readers = new Map<Constant, Reader[]>();
  const add = (name: string, scope: Scope, node: Node | undefined, index: number): void => {
    const constant = scope.resolve(name)?.constant;
    if (constant === undefined) return;
    const known = readers.get(constant) ?? [];
    readers.set(constant, known);
    const last = known.at(-1);
    if (last !== undefined && last.node === node && last.scope === scope) last.times += 1;
    else known.push({ scope, node, index, times: 1 });
  };
  for (const scope of root.all()) {
    for (const [i, node] of scope.graph.nodes.entries())
      if (!scope.carriers.has(i)) for (const input of node.inputs) if (input !== '') add(input, scope, node, i);
    for (const { name } of scope.graph.outputs) add(name, scope, undefined, -1);
  }
  return readers;
}

/** It reads the constant as the weight that becomes int8, and in no other place (as its activation or bias). */
function readsAsWeight(
  { scope, index, times }: Reader,
  constant: Constant,
  plan: ReadonlyMap<Scope, ReadonlyMap<number, Decision>>,
): boolean {
  const decision = plan.get(scope)?.get(index);
  if (decision?.decision !== 'quantize') return false;
  return decision.weights.filter((weight) => weight === constant).length === times;
}

const skip = (code: SkipCode, reason: string): Skip => ({ decision: 'skip', code, reason });
