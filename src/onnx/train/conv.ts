import type { GraphBuilder, Value } from '../build/graph-builder.ts';

/** A 2-D convolution with equal padding on all sides and stride 1. */
export interface Conv2dOptions {
  readonly pad: number;
}

/** x [n, i, h, w] ∗ w [o, i, kh, kw] + b [o] → [n, o, h + 2·pad − kh + 1, w + 2·pad − kw + 1] */
export function conv2d(
  g: GraphBuilder,
  x: Value<'float32'>,
  weight: Value<'float32'>,
  bias: Value<'float32'>,
  options: Conv2dOptions,
): Value<'float32'> {
  return g.node('Conv', { inputs: [x, weight, bias], attributes: padsOf(options), outputs: ['float32'] })[0];
}

/**
 * Gradients of `conv2d` by the gradient of its output, from the operators of inference: the input's is the transposed
 * convolution with the same weights; the weight's is the convolution of the input with the output's gradient, channels
 * and batch changing places; the bias's is a sum.
 */
export function conv2dGradients(
  g: GraphBuilder,
  x: Value<'float32'>,
  weight: Value<'float32'>,
  dOutput: Value<'float32'>,
  options: Conv2dOptions,
): { x: Value<'float32'>; weight: Value<'float32'>; bias: Value<'float32'> } {
  const attributes = padsOf(options);
  const [dx] = g.node('ConvTranspose', { inputs: [dOutput, weight], attributes, outputs: ['float32'] });
  const swapped = (value: Value<'float32'>): Value<'float32'> => g.transpose(value, [1, 0, 2, 3]);
  const [dWeight] = g.node('Conv', { inputs: [swapped(x), swapped(dOutput)], attributes, outputs: ['float32'] });
  return { x: dx, weight: swapped(dWeight), bias: g.reduceSum(dOutput, [0, 2, 3]) };
}

const padsOf = ({ pad }: Conv2dOptions) => ({ pads: { ints: [pad, pad, pad, pad] } });

/** The largest of each `size` × `size` window without overlap: [n, c, h, w] → [n, c, h / size, w / size], and where it was. */
export function maxPool2d(
  g: GraphBuilder,
  x: Value<'float32'>,
  size: number,
): { output: Value<'float32'>; indices: Value<'int64'> } {
  const attributes = windowOf(size);
  const [output, indices] = g.node('MaxPool', { inputs: [x], attributes, outputs: ['float32', 'int64'] });
  return { output, indices };
}

/** The gradient of `maxPool2d`: each window's goes to its largest number. `x` is the pool's input, for its shape. */
export function maxPool2dGradient(
  g: GraphBuilder,
  x: Value<'float32'>,
  indices: Value<'int64'>,
  dOutput: Value<'float32'>,
  size: number,
): Value<'float32'> {
  const inputs = [dOutput, indices, g.shape(x)];
  return g.node('MaxUnpool', { inputs, attributes: windowOf(size), outputs: ['float32'] })[0];
}

const windowOf = (size: number) => ({ kernel_shape: { ints: [size, size] }, strides: { ints: [size, size] } });
