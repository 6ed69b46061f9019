import type { Node, Tensor } from '../../model.ts';
import { valuesOf } from '../../tensor.ts';

/**
 * How an operator takes part in static quantization, for those that onnxruntime's CPU provider runs on 8 bits between
 * DequantizeLinear and QuantizeLinear (core/optimizer/qdq_transformer; test/onnx/static-fusion.test.ts looks at the
 * optimised graphs). Q and DQ around any other operator (LayerNormalization, Gelu, Softmax …) cost time and accuracy and
 * buy nothing.
 * - `weighted`: has int8 weights; wants its first input in 8 bits.
 * - `computes`: new values from 8-bit ones, at a scale of its own.
 * - `moves`: its first input's numbers again, at the same scale.
 * - `clamps`: disappears in the saturation of the integers before it.
 */
export type Role = 'weighted' | 'computes' | 'moves' | 'clamps';

const roles: ReadonlyMap<string, Role> = new Map([
  ['Conv', 'weighted'],
  ['MatMul', 'weighted'],
  ['Gemm', 'weighted'],
  ['Add', 'computes'],
  ['Concat', 'computes'],
  ['AveragePool', 'computes'],
  ['GlobalAveragePool', 'computes'],
  ['MaxPool', 'moves'],
  ['Reshape', 'moves'],
  ['Flatten', 'moves'],
  ['Squeeze', 'moves'],
  ['Unsqueeze', 'moves'],
  ['Transpose', 'moves'],
  ['Slice', 'moves'],
  ['Relu', 'clamps'],
  ['Clip', 'clamps'],
]);

/** The node's role, if it has one; whether its inputs allow it is another question. */
export function roleOf(node: Node, opset: number): Role | undefined {
  if (node.domain !== '' || node.outputs.filter((name) => name !== '').length !== 1) return undefined;
  // MaxPool takes 8-bit integers from operator set 12 on.
  if (node.opType === 'MaxPool' && opset < 12) return undefined;
  return roles.get(node.opType);
}

/**
 * Whether the range that Relu or Clip leaves contains zero. Then it lies within what the integers before it represent
 * once they are scaled to it, and their saturation does the clamping.
 */
export function clampsAroundZero(node: Node, constants: ReadonlyMap<string, Tensor>): boolean {
  if (node.opType === 'Relu') return true;
  const [low, high] = [bound(node.inputs[1], constants), bound(node.inputs[2], constants)];
  return low !== undefined && high !== undefined && (low === 'none' || low <= 0) && (high === 'none' || high >= 0);
}

/** A constant bound, `'none'`, or undefined for one that is not known. */
function bound(name: string | undefined, constants: ReadonlyMap<string, Tensor>): number | 'none' | undefined {
  if (name === undefined || name === '') return 'none';
  const tensor = constants.get(name);
  return tensor?.type === 'float32' ? valuesOf(tensor, 'float32')[0] : undefined;
}
