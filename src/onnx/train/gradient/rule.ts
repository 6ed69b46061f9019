import type { GraphBuilder, Value } from '../../build/graph-builder.ts';
import type { Node } from '../../model.ts';
import type { Dims } from '../shapes.ts';

export type Floats = Value<'float32'>;

/** A node of the forward graph, seen from the backward graph `g`. */
export interface ForwardNode {
  readonly g: GraphBuilder;
  readonly node: Node;
  /** Gradient of the loss by the node's first output, of that output's shape. */
  readonly dy: Floats;
  /** The i-th input or output of the forward node, as values of the backward graph. */
  input(i: number): Floats;
  /** The same for an input of whole numbers (as int64), and for a condition. */
  indices(i: number): Value<'int64'>;
  condition(i: number): Value<'bool'>;
  output(i?: number): Floats;
  /** Throw `MissingGradientError` when the rank is unknown. */
  inputDims(i: number): Dims;
  outputDims(): Dims;
  /** The integers of a constant input; undefined when it is left out. Throws `MissingGradientError` when it is computed. */
  integers(i: number): readonly number[] | undefined;
  /** The value of a scalar constant, if the input is one. */
  scalar(i: number): number | undefined;
}

/** Makes the gradient by one input, of that input's shape. Called only when somebody needs it. */
export type Gradient = () => Floats;
/** Gradients by input; undefined where there is none (indices, shapes, conditions). */
export type Rule = (forward: ForwardNode) => readonly (Gradient | undefined)[];
