import { floatAttribute, intAttribute } from '../../attribute.ts';
import { MissingGradientError } from '../error.ts';
import { reshapeTo, unbroadcast } from './broadcast.ts';
import type { Floats, Rule } from './rule.ts';

/** The last two axes changed; the engine folds it into the product (FusedMatMul) or, for a constant, once for all steps. */
function turned({ g }: Parameters<Rule>[0], value: Floats, rank: number): Floats {
  const perm = Array.from({ length: rank }, (_, i) => i);
  [perm[rank - 2], perm[rank - 1]] = [rank - 1, rank - 2];
  return g.transpose(value, perm);
}

/** Y = A B: dA = dY Bᵀ, dB = Aᵀ dY, summed over broadcast batches. */
const matMul: Rule = (f) => {
  const { g, dy, node } = f;
  const [a, b] = [f.inputDims(0), f.inputDims(1)];
  if (a.length < 2 || b.length < 2) throw new MissingGradientError(node, 'of vectors has no gradient');
  const batchesOf = (gradient: Floats, i: number): Floats => {
    // Only the batch axes broadcast: the last two are the product's.
    const [to, result] = [f.inputDims(i), f.outputDims()];
    const full = [...result.slice(0, -2), ...to.slice(-2)];
    return unbroadcast({ ...f, outputDims: () => full }, gradient, i);
  };
  // One matrix for all batches (a dense layer): a single product over all rows sums the batches by itself.
  const isDense = b.length === 2;
  return [
    () => {
      const gradient = g.matMul(dy, turned(f, f.input(1), b.length));
      return isDense ? gradient : batchesOf(gradient, 0);
    },
    () => {
      if (!isDense) return batchesOf(g.matMul(turned(f, f.input(0), a.length), dy), 1);
      const rows = (value: Floats, width: (typeof b)[number]): Floats =>
        typeof width === 'number'
          ? g.reshape(value, [-1, width])
          : g.node('Flatten', { inputs: [value], attributes: { axis: -1 }, outputs: ['float32'] })[0];
      return g.gemm(rows(f.input(0), b[0]), rows(dy, b[1]), undefined, { transA: true });
    },
  ];
};

/** Y = alpha · A' B' + beta · C, where ' transposes if asked to. */
const gemm: Rule = (f) => {
  const { g, dy, node } = f;
  const alpha = floatAttribute(node, 'alpha', 1);
  const beta = floatAttribute(node, 'beta', 1);
  const transA = intAttribute(node, 'transA', 0) === 1;
  const transB = intAttribute(node, 'transB', 0) === 1;
  const product = (a: Floats, b: Floats, turnA: boolean, turnB: boolean): Floats =>
    g.gemm(a, b, undefined, { alpha, transA: turnA, transB: turnB });
  return [
    () => (transA ? product(f.input(1), dy, transB, true) : product(dy, f.input(1), false, !transB)),
    () => (transB ? product(dy, f.input(0), true, transA) : product(f.input(0), dy, !transA, false)),
    () => unbroadcast(f, beta === 1 ? dy : g.mul(dy, g.scalar(beta)), 2),
  ];
};

const reshape: Rule = (f) => [() => reshapeTo(f.g, f.dy, f.outputDims(), f.inputDims(0), () => f.input(0)), undefined];

export const linearRules: Readonly<Record<string, Rule>> = {
  MatMul: matMul,
  Gemm: gemm,
  Reshape: reshape,
  Squeeze: reshape,
  Unsqueeze: reshape,
};
