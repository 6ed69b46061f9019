import { intAttribute } from '../../attribute.ts';
import type { GraphBuilder, Value } from '../../build/graph-builder.ts';
import { normalAxes, permOf } from '../shapes.ts';
import { range, reshapeTo } from './broadcast.ts';
import type { Floats, Rule } from './rule.ts';

const transpose: Rule = (f) => [
  () => {
    const perm = permOf(f.node, f.inputDims(0).length);
    const inverse = range(perm.length).map((axis) => perm.indexOf(axis));
    return f.g.transpose(f.dy, inverse);
  },
];

/**
 * Adds the slices of `updates` to zeros of the shape `shape` (int64 vector) at `places` (int64 vector) along `axis`. By
 * ScatterElements, whose additions happen in order: the same step gives the same bits.
 */
function scatterAdd(
  g: GraphBuilder,
  shape: Value<'int64'>,
  places: Value<'int64'>,
  updates: Floats,
  axis: number,
  rank: number,
): Floats {
  const [zeros] = g.node('ConstantOfShape', { inputs: [shape], outputs: ['float32'] });
  const alongAxis = g.reshape(
    places,
    range(rank).map((i) => (i === axis ? -1 : 1)),
  );
  const [indices] = g.node('Expand', { inputs: [alongAxis, g.shape(updates)], outputs: ['int64'] });
  return g.scatterElements(zeros, indices, updates, { axis, reduction: 'add' });
}

const gather: Rule = (f) => [
  () => {
    const { g, dy, node } = f;
    const data = f.inputDims(0);
    const [axis] = normalAxes([intAttribute(node, 'axis', 0)], data.length) as [number];
    const flat = [...data.slice(0, axis), undefined, ...data.slice(axis + 1)];
    const like = (): Value => {
      throw new RangeError('one unknown dimension at most');
    };
    const known = flat.every((dim, i) => i <= axis || typeof dim === 'number');
    const updates = known
      ? reshapeTo(g, dy, f.outputDims(), flat, like)
      : g.node('Reshape', { inputs: [dy, flatShape(g, f.input(0), axis, data.length)], outputs: ['float32'] })[0];
    return scatterAdd(g, g.shape(f.input(0)), g.reshape(f.indices(1), [-1]), updates, axis, data.length);
  },
  undefined,
];

/** The shape of `data` with -1 at `axis`, for sizes that are only known when the graph runs. */
function flatShape(g: GraphBuilder, data: Value, axis: number, rank: number): Value<'int64'> {
  const shape = g.shape(data);
  const part = (from: number, to: number): Value<'int64'>[] =>
    from < to ? [g.gather(shape, g.ints(range(to).slice(from)))] : [];
  return g.concat([...part(0, axis), g.ints([-1]), ...part(axis + 1, rank)], 0);
}

/** A slice along an axis takes the places that slicing 0, 1, 2 … by the same numbers gives. */
const slice: Rule = (f) => [
  () => {
    const { g, node } = f;
    const rank = f.inputDims(0).length;
    const count = Number(f.inputDims(1)[0]);
    const axes = normalAxesInOrder(f.integers(3) ?? range(count), rank);
    const one = (i: number, k: number): Value<'int64'> => g.gather(f.indices(i), g.ints([k]));
    const hasSteps = (node.inputs[4] ?? '') !== '';
    const shape = g.shape(f.input(0));
    let gradient = f.dy;
    for (const [k, axis] of axes.entries()) {
      const size = g.gather(shape, g.ints([axis]));
      const all = g.range(g.int(0), g.squeeze(size, [0]), g.int(1));
      const inputs = [all, one(1, k), one(2, k), g.ints([0]), ...(hasSteps ? [one(4, k)] : [])];
      const [places] = g.node('Slice', { inputs, outputs: ['int64'] });
      const current = g.shape(gradient);
      const part = (from: number, to: number): Value<'int64'>[] =>
        from < to ? [g.gather(current, g.ints(range(to).slice(from)))] : [];
      const whole = g.concat([...part(0, axis), size, ...part(axis + 1, rank)], 0);
      gradient = scatterAdd(g, whole, places, gradient, axis, rank);
    }
    return gradient;
  },
];

const normalAxesInOrder = (axes: readonly number[], rank: number): number[] =>
  axes.map((axis) => (axis < 0 ? axis + rank : axis));

const concat: Rule = (f) => {
  const { g, node } = f;
  const axis = intAttribute(node, 'axis', 0);
  let parts: readonly Floats[] | undefined;
  const split = (): readonly Floats[] => {
    if (parts !== undefined) return parts;
    const sizes = node.inputs.map((_, i) => f.inputDims(i).at(axis));
    const lengths = sizes.every((size) => typeof size === 'number')
      ? g.ints(sizes)
      : g.concat(
          node.inputs.map((_, i) => g.gather(g.shape(f.input(i)), g.ints(normalAxes([axis], f.inputDims(i).length)))),
          0,
        );
    parts = g.node('Split', {
      inputs: [f.dy, lengths],
      attributes: { axis },
      outputs: node.inputs.map(() => 'float32' as const),
    });
    return parts;
  };
  return node.inputs.map((_, i) => () => split()[i]!);
};

export const moveRules: Readonly<Record<string, Rule>> = {
  Transpose: transpose,
  Gather: gather,
  Slice: slice,
  Concat: concat,
};
