import { type DataType, dataTypeCode } from '../data-type.ts';
import { OnnxError } from '../error.ts';
import { GraphUnderConstruction, type Value } from './graph.ts';

export type { Value } from './graph.ts';
export { builderOpset } from './graph.ts';

type Numeric = 'float32' | 'int64' | 'int32';

/**
 * Builds an ONNX graph, value by value, for inference and for training steps alike (a training step is a plain graph
 * with weights and optimizer state as inputs and outputs). Operators are those of operator set 18 of
 * https://onnx.ai/onnx/operators/; names of methods, inputs and attributes are the operators' own. Shapes are given in
 * brackets. Element types are checked here, shapes by the engine.
 */
export class GraphBuilder extends GraphUnderConstruction {
  // Element-wise, with numpy's broadcasting.
  add<T extends Numeric>(a: Value<T>, b: Value<T>): Value<T> {
    return this.binary('Add', a, b);
  }
  sub<T extends Numeric>(a: Value<T>, b: Value<T>): Value<T> {
    return this.binary('Sub', a, b);
  }
  mul<T extends Numeric>(a: Value<T>, b: Value<T>): Value<T> {
    return this.binary('Mul', a, b);
  }
  div<T extends Numeric>(a: Value<T>, b: Value<T>): Value<T> {
    return this.binary('Div', a, b);
  }
  max<T extends Numeric>(a: Value<T>, b: Value<T>): Value<T> {
    return this.binary('Max', a, b);
  }
  min<T extends Numeric>(a: Value<T>, b: Value<T>): Value<T> {
    return this.binary('Min', a, b);
  }
  neg(x: Value<'float32'>): Value<'float32'> {
    return this.unary('Neg', x);
  }
  exp(x: Value<'float32'>): Value<'float32'> {
    return this.unary('Exp', x);
  }
  /** Natural logarithm. */
  log(x: Value<'float32'>): Value<'float32'> {
    return this.unary('Log', x);
  }
  sqrt(x: Value<'float32'>): Value<'float32'> {
    return this.unary('Sqrt', x);
  }
  relu(x: Value<'float32'>): Value<'float32'> {
    return this.unary('Relu', x);
  }
  sigmoid(x: Value<'float32'>): Value<'float32'> {
    return this.unary('Sigmoid', x);
  }
  tanh(x: Value<'float32'>): Value<'float32'> {
    return this.unary('Tanh', x);
  }
  /** Gauss error function. */
  erf(x: Value<'float32'>): Value<'float32'> {
    return this.unary('Erf', x);
  }

  // Comparison and choice.
  equal<T extends DataType>(a: Value<T>, b: Value<T>): Value<'bool'> {
    return this.compare('Equal', a, b);
  }
  greater<T extends Numeric>(a: Value<T>, b: Value<T>): Value<'bool'> {
    return this.compare('Greater', a, b);
  }
  less<T extends Numeric>(a: Value<T>, b: Value<T>): Value<'bool'> {
    return this.compare('Less', a, b);
  }
  and(a: Value<'bool'>, b: Value<'bool'>): Value<'bool'> {
    return this.compare('And', a, b);
  }
  not(x: Value<'bool'>): Value<'bool'> {
    return this.node('Not', { inputs: [x], outputs: ['bool'] })[0];
  }
  where<T extends DataType>(condition: Value<'bool'>, x: Value<T>, y: Value<T>): Value<T> {
    sameType('Where', x, y);
    return this.node('Where', { inputs: [condition, x, y], outputs: [x.type] })[0];
  }

  // Linear algebra.
  /** [..., m, k] × [..., k, n] → [..., m, n]. */
  matMul(a: Value<'float32'>, b: Value<'float32'>): Value<'float32'> {
    return this.binary('MatMul', a, b);
  }
  /** alpha · a' · b' + beta · c, where ' transposes if asked to: [m, k], [k, n], c broadcast to [m, n]. */
  gemm(
    a: Value<'float32'>,
    b: Value<'float32'>,
    c?: Value<'float32'>,
    { alpha = 1, beta = 1, transA = false, transB = false } = {},
  ): Value<'float32'> {
    const attributes = {
      alpha: { float: alpha },
      beta: { float: beta },
      transA: Number(transA),
      transB: Number(transB),
    };
    return this.node('Gemm', { inputs: c ? [a, b, c] : [a, b], attributes, outputs: ['float32'] })[0];
  }

  // Reductions; `axes` empty means all.
  reduceSum<T extends Numeric>(x: Value<T>, axes: readonly number[], options?: { keepDims?: boolean }): Value<T> {
    return this.reduce('ReduceSum', x, axes, options);
  }
  reduceMean<T extends Numeric>(x: Value<T>, axes: readonly number[], options?: { keepDims?: boolean }): Value<T> {
    return this.reduce('ReduceMean', x, axes, options);
  }
  reduceMax<T extends Numeric>(x: Value<T>, axes: readonly number[], options?: { keepDims?: boolean }): Value<T> {
    return this.reduce('ReduceMax', x, axes, options);
  }
  /** Square root of the sum of squares. */
  reduceL2(x: Value<'float32'>, axes: readonly number[], options?: { keepDims?: boolean }): Value<'float32'> {
    return this.reduce('ReduceL2', x, axes, options);
  }
  /** Running sum along an axis. */
  cumSum<T extends Numeric>(x: Value<T>, axis: number): Value<T> {
    return this.node('CumSum', { inputs: [x, this.int(axis)], outputs: [x.type] })[0];
  }
  /** (x - mean) / sqrt(variance + epsilon) · scale + bias over the last axis; scale and bias [width]. */
  layerNormalization(
    x: Value<'float32'>,
    scale: Value<'float32'>,
    bias: Value<'float32'>,
    epsilon: number,
  ): Value<'float32'> {
    const attributes = { axis: -1, epsilon: { float: epsilon } };
    return this.node('LayerNormalization', { inputs: [x, scale, bias], attributes, outputs: ['float32'] })[0];
  }
  softmax(x: Value<'float32'>, axis = -1): Value<'float32'> {
    return this.node('Softmax', { inputs: [x], attributes: { axis }, outputs: ['float32'] })[0];
  }
  logSoftmax(x: Value<'float32'>, axis = -1): Value<'float32'> {
    return this.node('LogSoftmax', { inputs: [x], attributes: { axis }, outputs: ['float32'] })[0];
  }

  // Moving data.
  /** Rows of `data` [r, ...] by `indices` [...i] → [...i, ...]. */
  gather<T extends DataType>(data: Value<T>, indices: Value<'int64'>, axis = 0): Value<T> {
    return this.node('Gather', { inputs: [data, indices], attributes: { axis }, outputs: [data.type] })[0];
  }
  /** A copy of `data` with `updates` written (or added) at `indices` along `axis`; all three of one rank. */
  scatterElements<T extends DataType>(
    data: Value<T>,
    indices: Value<'int64'>,
    updates: Value<T>,
    { axis = 0, reduction = 'none' }: { axis?: number; reduction?: 'none' | 'add' | 'mul' | 'max' | 'min' } = {},
  ): Value<T> {
    sameType('ScatterElements', data, updates);
    const attributes = { axis, reduction };
    return this.node('ScatterElements', { inputs: [data, indices, updates], attributes, outputs: [data.type] })[0];
  }
  /** A copy of `data` with slices `updates` [...i, ...rest] written (or added) at `indices` [...i, depth]. */
  scatterND<T extends DataType>(
    data: Value<T>,
    indices: Value<'int64'>,
    updates: Value<T>,
    { reduction = 'none' }: { reduction?: 'none' | 'add' | 'mul' | 'max' | 'min' } = {},
  ): Value<T> {
    sameType('ScatterND', data, updates);
    return this.node('ScatterND', {
      inputs: [data, indices, updates],
      attributes: { reduction },
      outputs: [data.type],
    })[0];
  }
  /** `perm[i]` is the input axis that becomes axis i. */
  transpose<T extends DataType>(x: Value<T>, perm: readonly number[]): Value<T> {
    return this.node('Transpose', { inputs: [x], attributes: { perm: { ints: perm } }, outputs: [x.type] })[0];
  }
  /** -1 stands for the one dimension that follows from the others, 0 keeps the input's. */
  reshape<T extends DataType>(x: Value<T>, shape: readonly number[]): Value<T> {
    return this.node('Reshape', { inputs: [x, this.ints(shape)], outputs: [x.type] })[0];
  }
  unsqueeze<T extends DataType>(x: Value<T>, axes: readonly number[]): Value<T> {
    return this.node('Unsqueeze', { inputs: [x, this.ints(axes)], outputs: [x.type] })[0];
  }
  squeeze<T extends DataType>(x: Value<T>, axes: readonly number[]): Value<T> {
    return this.node('Squeeze', { inputs: [x, this.ints(axes)], outputs: [x.type] })[0];
  }
  concat<T extends DataType>(values: readonly Value<T>[], axis: number): Value<T> {
    const first = values[0];
    if (first === undefined) throw new OnnxError('Concat: expected one value or more');
    for (const value of values) sameType('Concat', first, value);
    return this.node('Concat', { inputs: values, attributes: { axis }, outputs: [first.type] })[0];
  }
  /** start, start + delta … below limit; three scalars → [n]. */
  range(start: Value<'int64'>, limit: Value<'int64'>, delta: Value<'int64'>): Value<'int64'> {
    return this.node('Range', { inputs: [start, limit, delta], outputs: ['int64'] })[0];
  }
  shape(x: Value): Value<'int64'> {
    return this.node('Shape', { inputs: [x], outputs: ['int64'] })[0];
  }
  cast<T extends DataType>(x: Value, type: T): Value<T> {
    return this.node('Cast', { inputs: [x], attributes: { to: dataTypeCode(type) }, outputs: [type] })[0];
  }

  private unary<T extends DataType>(opType: string, x: Value<T>): Value<T> {
    return this.node(opType, { inputs: [x], outputs: [x.type] })[0];
  }
  private binary<T extends DataType>(opType: string, a: Value<T>, b: Value<T>): Value<T> {
    sameType(opType, a, b);
    return this.node(opType, { inputs: [a, b], outputs: [a.type] })[0];
  }
  private compare(opType: string, a: Value, b: Value): Value<'bool'> {
    sameType(opType, a, b);
    return this.node(opType, { inputs: [a, b], outputs: ['bool'] })[0];
  }
  private reduce<T extends DataType>(
    opType: string,
    x: Value<T>,
    axes: readonly number[],
    { keepDims = false }: { keepDims?: boolean } = {},
  ): Value<T> {
    const inputs = axes.length > 0 ? [x, this.ints(axes)] : [x];
    return this.node(opType, { inputs, attributes: { keepdims: Number(keepDims) }, outputs: [x.type] })[0];
  }
}

/** Operators that take several values want one element type; ONNX never converts by itself. */
function sameType(opType: string, a: Value, b: Value): void {
  if (a.type !== b.type) {
    throw new OnnxError(`${opType}: "${a.name}" is ${a.type}, "${b.name}" is ${b.type}; expected one element type`);
  }
}
