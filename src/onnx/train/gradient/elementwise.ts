import { unbroadcast } from './broadcast.ts';
import type { ForwardNode, Gradient, Rule } from './rule.ts';

/** Gradients by the operands of a broadcasting operator, summed back to each one's shape. */
const operands = (forward: ForwardNode, ...gradients: Gradient[]): Gradient[] =>
  gradients.map((gradient, i) => () => unbroadcast(forward, gradient(), i));

const add: Rule = (f) =>
  operands(
    f,
    () => f.dy,
    () => f.dy,
  );
const sub: Rule = (f) =>
  operands(
    f,
    () => f.dy,
    () => f.g.neg(f.dy),
  );
const mul: Rule = (f) =>
  operands(
    f,
    () => f.g.mul(f.dy, f.input(1)),
    () => f.g.mul(f.dy, f.input(0)),
  );
const div: Rule = (f) => {
  const { g, dy } = f;
  return operands(
    f,
    () => g.div(dy, f.input(1)),
    () => g.neg(g.div(g.mul(dy, f.output()), f.input(1))),
  );
};

/** x^p: p · x^(p − 1) by x; x^p · ln x by p, which is only defined above 0. */
const pow: Rule = (f) => {
  const { g, dy } = f;
  const exponent = f.scalar(1);
  const power = (base: typeof dy, by: typeof dy): typeof dy =>
    g.node('Pow', { inputs: [base, by], outputs: ['float32'] })[0];
  const byBase: Gradient = () => {
    const x = f.input(0);
    if (exponent === 2) return g.mul(dy, g.mul(x, g.scalar(2)));
    if (exponent !== undefined) return g.mul(dy, g.mul(power(x, g.scalar(exponent - 1)), g.scalar(exponent)));
    return g.mul(dy, g.mul(f.input(1), power(x, g.sub(f.input(1), g.scalar(1)))));
  };
  return operands(f, byBase, () => g.mul(dy, g.mul(f.output(), g.log(f.input(0)))));
};

/** The gradient goes to the operand that won, and to the first of equal ones. */
const extremum =
  (wins: 'greater' | 'less'): Rule =>
  (f) => {
    const { g, dy } = f;
    const secondWins = () => g[wins](f.input(1), f.input(0));
    return operands(
      f,
      () => g.where(secondWins(), g.scalar(0), dy),
      () => g.where(secondWins(), dy, g.scalar(0)),
    );
  };

const where: Rule = (f) => {
  const { g, dy } = f;
  return [
    undefined,
    () => unbroadcast(f, g.where(f.condition(0), dy, g.scalar(0)), 1),
    () => unbroadcast(f, g.where(f.condition(0), g.scalar(0), dy), 2),
  ];
};

const unary =
  (derivative: (f: ForwardNode) => ReturnType<Gradient>): Rule =>
  (f) => [() => f.g.mul(f.dy, derivative(f))];
const identity: Rule = (f) => [() => f.dy];

export const elementwiseRules: Readonly<Record<string, Rule>> = {
  Add: add,
  Sub: sub,
  Mul: mul,
  Div: div,
  Pow: pow,
  Max: extremum('greater'),
  Min: extremum('less'),
  Where: where,
  Identity: identity,
  Neg: (f) => [() => f.g.neg(f.dy)],
  Exp: unary((f) => f.output()),
  Log: (f) => [() => f.g.div(f.dy, f.input(0))],
  Sqrt: (f) => [() => f.g.div(f.g.mul(f.dy, f.g.scalar(0.5)), f.output())],
  Abs: unary(({ g, input }) => g.node('Sign', { inputs: [input(0)], outputs: ['float32'] })[0]),
};
