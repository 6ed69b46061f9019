import type { Rule } from './rule.ts';

const relu: Rule = ({ g, dy, output }) => [() => g.where(g.greater(output(), g.scalar(0)), dy, g.scalar(0))];

const tanh: Rule = ({ g, dy, output }) => [() => g.mul(dy, g.sub(g.scalar(1), g.mul(output(), output())))];

const sigmoid: Rule = ({ g, dy, output }) => [() => g.mul(dy, g.mul(output(), g.sub(g.scalar(1), output())))];

/** 2/√π · e^(−x²) */
const erf: Rule = ({ g, dy, input }) => [
  () => {
    const x = input(0);
    return g.mul(dy, g.mul(g.exp(g.neg(g.mul(x, x))), g.scalar(2 / Math.sqrt(Math.PI))));
  },
];

/**
 * x · Φ(x): Φ(x) + x · φ(x), from x alone, so that nothing else of the forward pass has to be kept. A step spends more time
 * here than in any other element-wise operator, so passes over memory are counted: eight.
 */
const gelu: Rule = ({ g, dy, input }) => [
  () => {
    const x = input(0);
    // With u = x/√2: Φ = ½ (1 + erf u), x φ = u/√π · e^(−u²).
    const u = g.mul(x, g.scalar(Math.SQRT1_2));
    const density = g.mul(g.exp(g.mul(u, g.mul(u, g.scalar(-1)))), g.mul(u, g.scalar(2 / Math.sqrt(Math.PI))));
    const doubled = g.add(g.add(g.erf(u), density), g.scalar(1));
    return g.mul(g.mul(dy, g.scalar(0.5)), doubled);
  },
];

export const activationRules: Readonly<Record<string, Rule>> = {
  Relu: relu,
  Tanh: tanh,
  Sigmoid: sigmoid,
  Erf: erf,
  Gelu: gelu,
};
