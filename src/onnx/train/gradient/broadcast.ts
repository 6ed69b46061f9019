import type { GraphBuilder, Value } from '../../build/graph-builder.ts';
import type { Dims } from '../shapes.ts';
import type { Floats, ForwardNode } from './rule.ts';

/**
 * Sums a gradient of the shape of a broadcast result back to the shape of the i-th operand. Axes that are known to need it
 * are summed by name; where sizes are only known when the graph runs, so are the axes.
 */
export function unbroadcast(forward: ForwardNode, gradient: Floats, i: number): Floats {
  const { g } = forward;
  const from = forward.outputDims();
  const to = forward.inputDims(i);
  const lead = from.length - to.length;
  const isSure = to.every((dim, axis) => dim === 1 || (dim !== undefined && dim === from[lead + axis]));
  if (!isSure) return sumToShapeOf(g, gradient, forward.input(i), lead);
  const summed = to.flatMap((dim, axis) => (dim === 1 && from[lead + axis] !== 1 ? [lead + axis] : []));
  const kept = summed.length > 0 ? g.reduceSum(gradient, summed, { keepDims: true }) : gradient;
  return lead > 0 ? g.reduceSum(kept, range(lead)) : kept;
}

/** The axes are those whose size is not the operand's; an empty list of them sums nothing. */
function sumToShapeOf(g: GraphBuilder, gradient: Floats, operand: Value, lead: number): Floats {
  const target = g.shape(operand);
  const padded = lead === 0 ? target : g.concat([g.ints(Array.from({ length: lead }, () => 1)), target], 0);
  const differs = g.not(g.equal(padded, g.shape(gradient)));
  const [places] = g.node('NonZero', { inputs: [g.cast(differs, 'int64')], outputs: ['int64'] });
  const [summed] = g.node('ReduceSum', {
    inputs: [gradient, g.squeeze(places, [0])],
    attributes: { keepdims: 1, noop_with_empty_axes: 1 },
    outputs: ['float32'],
  });
  return reshapeToShapeOf(g, summed, operand);
}

export const range = (length: number): number[] => Array.from({ length }, (_, i) => i);

/** For shapes that are only known when the graph runs. */
export const reshapeToShapeOf = (g: GraphBuilder, value: Floats, like: Value): Floats =>
  g.node('Reshape', { inputs: [value, g.shape(like)], outputs: ['float32'] })[0];

/**
 * Reshapes to known dimensions where one unknown is left at most, so that the value whose shape is wanted (`like`) need not
 * stay in memory until then.
 */
export function reshapeTo(g: GraphBuilder, value: Floats, from: Dims, to: Dims, like: () => Value): Floats {
  const shape = to.map((dim, i) => {
    if (typeof dim === 'number' && dim > 0) return dim;
    return dim !== undefined && dim === from[i] ? 0 : -1;
  });
  if (shape.filter((size) => size === -1).length > 1) return reshapeToShapeOf(g, value, like());
  return g.reshape(value, shape);
}
