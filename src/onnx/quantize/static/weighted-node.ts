import { floatAttribute, intAttribute } from '../../attribute.ts';
import type { Node, Tensor } from '../../model.ts';
import { valuesOf } from '../../tensor.ts';
import { integerRange } from '../scale.ts';

/** A Conv, MatMul or Gemm that becomes int8: what of it is constant, and how its channels lie. */
export interface WeightedNode {
  readonly data: string;
  readonly weight: Tensor;
  /** Axis of the weight along which output channels lie. */
  readonly axis: number;
  /** Factor on the weight (Gemm's alpha). */
  readonly alpha: number;
  readonly bias: Tensor | undefined;
  /** Factor on the bias (Gemm's beta). */
  readonly beta: number;
}

/** 2·max|w| has to be a float32, and so has every sum of scaled values. */
const largestValue = 2 ** 120;

/** What makes the node ready for int8, or the reason why it stays float. */
export function weightedNode(
  node: Node,
  constants: ReadonlyMap<string, Tensor>,
  { reduceRange }: { reduceRange: boolean },
): WeightedNode | { reason: string } {
  const [data = '', weightName = '', biasName = ''] = node.inputs;
  const weight = constants.get(weightName);
  const bias = constants.get(biasName);
  if (weight === undefined) return { reason: 'its second input is not a constant' };
  if (constants.has(data)) return { reason: 'its first input is a constant too' };
  if (weight.type !== 'float32') return { reason: `weight "${weightName}" is ${weight.type}, expected float32` };
  const rank = weight.dims.length;
  const isConv = node.opType === 'Conv';
  if (isConv ? rank < 3 : rank !== 2) {
    return { reason: `weight "${weightName}" has rank ${rank}, expected ${isConv ? '3 or more' : 2}` };
  }
  const count = weight.dims.reduce((product, dim) => product * dim, 1);
  if (count === 0) return { reason: `weight "${weightName}" is empty` };
  const isGemm = node.opType === 'Gemm';
  if (isGemm && intAttribute(node, 'transA', 0) !== 0) return { reason: 'its first input is transposed (transA)' };
  const axis = isConv || (isGemm && intAttribute(node, 'transB', 0) !== 0) ? 0 : 1;
  const channels = weight.dims[axis]!;
  const depth = count / channels;
  if (depth > largestDepth(reduceRange)) return { reason: `sums of ${depth} products may overflow 32 bits` };
  const alpha = isGemm ? floatAttribute(node, 'alpha', 1) : 1;
  const beta = isGemm ? floatAttribute(node, 'beta', 1) : 1;
  if (biasName !== '') {
    if (bias?.type !== 'float32') return { reason: `bias "${biasName}" is not a float32 constant` };
    const perColumn = bias.dims.at(-1) ?? 1;
    const values = bias.dims.reduce((product, dim) => product * dim, 1);
    if (values !== perColumn || (perColumn !== channels && perColumn !== 1)) {
      return { reason: `bias "${biasName}" has shape [${bias.dims.join(', ')}], expected [${channels}]` };
    }
  }
  for (const [tensor, factor] of [[weight, alpha] as const, ...(bias ? [[bias, beta] as const] : [])]) {
    if (!valuesOf(tensor, 'float32').every((value) => Math.abs(value * factor) <= largestValue)) {
      return { reason: `"${tensor.name}" holds a value that is not finite or beyond 2^120` };
    }
  }
  return { data, weight, axis, alpha, bias: beta === 0 ? undefined : bias, beta };
}

/** Longest sum of products u8 × s8 that int32 surely holds. */
const largestDepth = (reduceRange: boolean): number =>
  Math.floor((2 ** 31 - 1) / (255 * integerRange({ type: 'int8', symmetric: true, reduceRange }).max));
