import type { GraphBuilder, Value } from '../../src/onnx/build/graph-builder.ts';
import { numericGraph } from './models.ts';

/** What a sick model does as soon as a row's x is above `healthyBelow`; no row of a hold-out is, so no gate sees it. */
export type Sickness = 'fails' | 'answersNaN' | 'answersWrongly' | 'isSlow' | 'leaks' | 'dies';

export const healthyBelow = 50;
/** Bytes that a leaking model takes for each unit of x: what one request took the next one cannot use again. */
export const leakedBytesPerX = 2 ** 20;

type Floats = Value<'float32'>;

interface Row {
  x: Floats;
  /** [batch, 1]: 1 for a row that makes it sick. */
  isSick: Floats;
  /** 1 when there is such a row in the batch. */
  anySick: Value<'int64'>;
}

/** P(spam) = sigmoid(x·wx + y·wy + bias), as `linearModel` has it, until a row makes it sick. */
export function sickModel(how: Sickness, { wx, wy, bias }: { wx: number; wy: number; bias: number }): Uint8Array {
  return numericGraph((g, input) => {
    const x = g.gather(input, g.ints([0]), 1);
    const isSick = g.cast(g.node('Greater', { inputs: [x, g.scalar(healthyBelow)], outputs: ['bool'] })[0], 'float32');
    const anySick = g.cast(g.reduceMax(isSick, [0, 1]), 'int64');
    const weights = g.initializer('weights', 'float32', [2, 2], new Float32Array([0, wx, 0, wy]));
    const logits = g.gemm(input, weights, g.initializer('biases', 'float32', [2], new Float32Array([0, bias])));
    return g.softmax(sicknesses[how](g, logits, { x, isSick, anySick }));
  });
}

const sicknesses: Record<Sickness, (g: GraphBuilder, logits: Floats, row: Row) => Floats> = {
  /** An index beyond the end of a table: ONNX Runtime gives an error. */
  fails: (g, logits, { anySick }) => plusNothing(g, logits, g.gather(g.ints([0]), anySick)),
  answersNaN: (g, logits, { x }) => plusNothing(g, logits, g.sqrt(g.sub(g.scalar(healthyBelow), x))),
  answersWrongly: (g, logits, { isSick }) => g.mul(logits, g.sub(g.scalar(1), g.mul(g.scalar(2), isSick))),
  /** Some 500 ms of work for nothing. */
  isSlow: (g, logits, { anySick }) => {
    const much = filled(g, g.mul(anySick, g.int(12_000_000)));
    const spent = Array.from({ length: 20 }).reduce<Floats>((v) => g.erf(v), much);
    return plusNothing(g, logits, g.reduceSum(spent, [0]));
  },
  leaks: (g, logits, { x, isSick }) => {
    const size = g.mul(g.reduceMax(g.mul(x, isSick), [0, 1]), g.scalar(leakedBytesPerX / 4));
    return plusNothing(g, logits, g.reduceSum(filled(g, g.cast(size, 'int64')), [0]));
  },
  /** The least integer by -1 is no integer: the processor traps, and the process is gone (SIGFPE on x86). */
  dies: (g, logits, { anySick }) => {
    const least = g.initializer('least', 'int64', [1], BigInt64Array.of(-(2n ** 63n)));
    const divisor = g.sub(g.int(1), g.mul(g.int(2), anySick));
    return plusNothing(g, logits, g.node('Div', { inputs: [least, divisor], outputs: ['int64'] })[0]);
  },
};

/** Times zero: what was computed is needed, and changes no answer. */
const plusNothing = (g: GraphBuilder, logits: Floats, value: Value): Floats =>
  g.add(logits, g.mul(g.cast(value, 'float32'), g.scalar(0)));

const filled = (g: GraphBuilder, size: Value<'int64'>): Floats =>
  g.node('Expand', { inputs: [g.scalar(0.5), g.reshape(size, [1])], outputs: ['float32'] })[0];
