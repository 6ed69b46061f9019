import { intAttribute } from '../../attribute.ts';
import { normalAxes } from '../shapes.ts';
import { unbroadcast } from './broadcast.ts';
import type { Floats, ForwardNode, Rule } from './rule.ts';

function axesOf(f: ForwardNode): number[] {
  const rank = f.inputDims(0).length;
  const axes = f.integers(1) ?? [];
  return axes.length === 0 ? Array.from({ length: rank }, (_, i) => i) : normalAxes(axes, rank);
}

/** A value of the result's shape with the reduced axes back, of size 1. */
function kept(f: ForwardNode, value: Floats): Floats {
  if (intAttribute(f.node, 'keepdims', 1) === 1) return value;
  if ((f.integers(1) ?? []).length === 0) return value; // a scalar broadcasts, whatever the rank
  const axes = axesOf(f);
  return axes.length === 0 ? value : f.g.unsqueeze(value, axes);
}

const expandToInput = (f: ForwardNode, value: Floats): Floats =>
  f.g.node('Expand', { inputs: [value, f.g.shape(f.input(0))], outputs: ['float32'] })[0];

const reduceSum: Rule = (f) => [() => expandToInput(f, kept(f, f.dy)), undefined];

const reduceMean: Rule = (f) => [
  () => {
    const { g } = f;
    const sizes = axesOf(f).map((axis) => f.inputDims(0)[axis]);
    const count = sizes.every((size) => typeof size === 'number')
      ? g.scalar(sizes.reduce((product: number, size) => product * (size as number), 1))
      : g.cast(
          g.node('ReduceProd', {
            inputs: [g.gather(g.shape(f.input(0)), g.ints(axesOf(f)))],
            attributes: { keepdims: 0 },
            outputs: ['int64'],
          })[0],
          'float32',
        );
    return expandToInput(f, g.div(kept(f, f.dy), count));
  },
  undefined,
];

/** x / ‖x‖; 0 where the norm is 0, as PyTorch has it. */
const reduceL2: Rule = (f) => [
  () => {
    const { g } = f;
    const norm = g.max(kept(f, f.output()), g.scalar(1e-30));
    return g.mul(f.input(0), g.div(kept(f, f.dy), norm));
  },
  undefined,
];

const expand: Rule = (f) => [() => unbroadcast(f, f.dy, 0), undefined];

export const reductionRules: Readonly<Record<string, Rule>> = {
  ReduceSum: reduceSum,
  ReduceMean: reduceMean,
  ReduceL2: reduceL2,
  Expand: expand,
};
