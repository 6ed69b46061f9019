import { intAttribute } from '../../attribute.ts';
import { MissingGradientError } from '../error.ts';
import { unbroadcast } from './broadcast.ts';
import type { Floats, Rule } from './rule.ts';

/** P · (dP − Σ dP · P) */
const softmax: Rule = ({ g, dy, node, output }) => [
  () => {
    const p = output();
    const sum = g.reduceSum(g.mul(dy, p), [intAttribute(node, 'axis', -1)], { keepDims: true });
    return g.mul(p, g.sub(dy, sum));
  },
];

/** dY − e^Y · Σ dY */
const logSoftmax: Rule = ({ g, dy, node, output }) => [
  () => {
    const sum = g.reduceSum(dy, [intAttribute(node, 'axis', -1)], { keepDims: true });
    return g.sub(dy, g.mul(g.exp(output()), sum));
  },
];

/**
 * Over the last axis (Ba et al., arXiv 1607.06450): with x̂ = (x − mean) / σ and d = dY · scale,
 * dX = (d − mean(d) − x̂ · mean(d · x̂)) / σ. Mean and 1/σ are outputs of the forward node, so x̂ is not kept but made again.
 */
const layerNormalization: Rule = (f) => {
  const { g, dy, node } = f;
  const width = f.inputDims(0).at(-1);
  const axis = intAttribute(node, 'axis', -1);
  if ((axis !== -1 && axis !== f.inputDims(0).length - 1) || typeof width !== 'number') {
    throw new MissingGradientError(node, 'has a gradient over the last axis of known size only');
  }
  let made: Floats | undefined;
  const normalized = (): Floats => {
    made ??= g.mul(g.sub(f.input(0), f.output(1)), f.output(2));
    return made;
  };
  return [
    () => {
      const d = g.mul(dy, f.input(1));
      const mean = g.reduceMean(d, [-1], { keepDims: true });
      const slope = g.reduceMean(g.mul(d, normalized()), [-1], { keepDims: true });
      return g.mul(g.sub(g.sub(d, mean), g.mul(normalized(), slope)), f.output(2));
    },
    () => unbroadcast(f, g.mul(dy, normalized()), 1),
    () => unbroadcast(f, dy, 2),
  ];
};

export const normalizationRules: Readonly<Record<string, Rule>> = {
  Softmax: softmax,
  LogSoftmax: logSoftmax,
  LayerNormalization: layerNormalization,
};
