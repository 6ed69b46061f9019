import type { GraphBuilder, Value } from '../build/graph-builder.ts';

/** Constants of AdamW; the defaults are those of the paper and of PyTorch. */
export interface AdamWOptions {
  readonly beta1: number;
  readonly beta2: number;
  readonly epsilon: number;
  /** Decoupled weight decay per step, multiplied by the learning rate; 0 for biases. */
  readonly weightDecay: number;
}
export const adamWDefaults: AdamWOptions = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay: 0.01 };

/** Scalars (float32, shape []) that change from step to step, as graph inputs. */
export interface AdamWSchedule {
  readonly learningRate: Value<'float32'>;
  /** 1 − beta1^t and 1 − beta2^t: `biasCorrections`. */
  readonly correction1: Value<'float32'>;
  readonly correction2: Value<'float32'>;
}

/** A weight, its gradient and its two moments, all of one shape. */
export interface AdamWState {
  readonly weight: Value<'float32'>;
  readonly moment1: Value<'float32'>;
  readonly moment2: Value<'float32'>;
}

/**
 * One AdamW update as ONNX operators (Loshchilov & Hutter, arXiv 1711.05101, algorithm 2, as PyTorch does it): returns
 * the next weight and moments, to be made outputs and fed back as inputs of the next step.
 */
export function adamW(
  g: GraphBuilder,
  { weight, moment1, moment2 }: AdamWState,
  gradient: Value<'float32'>,
  schedule: AdamWSchedule,
  { beta1, beta2, epsilon, weightDecay }: AdamWOptions = adamWDefaults,
): AdamWState {
  const next1 = g.add(g.mul(moment1, g.scalar(beta1)), g.mul(gradient, g.scalar(1 - beta1)));
  const next2 = g.add(g.mul(moment2, g.scalar(beta2)), g.mul(g.mul(gradient, gradient), g.scalar(1 - beta2)));
  const denominator = g.add(g.sqrt(g.div(next2, schedule.correction2)), g.scalar(epsilon));
  const adam = g.div(g.div(next1, schedule.correction1), denominator);
  const step = weightDecay === 0 ? adam : g.add(adam, g.mul(weight, g.scalar(weightDecay)));
  return { weight: g.sub(weight, g.mul(schedule.learningRate, step)), moment1: next1, moment2: next2 };
}

/** 1 − beta^t of step t = 1, 2, 3 …, in double precision: float32 would lose its digits at small t. */
export function biasCorrections(
  step: number,
  { beta1, beta2 }: AdamWOptions = adamWDefaults,
): { correction1: number; correction2: number } {
  return { correction1: 1 - beta1 ** step, correction2: 1 - beta2 ** step };
}
