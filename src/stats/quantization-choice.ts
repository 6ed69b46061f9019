import type { Verdict } from '../contracts/verdict.ts';

/** The paired difference int8 − fp32 on the same rows (`comparePaired`), positive is better, with its one-sided 95 % bound. */
export interface QuantizationLoss {
  metric: 'accuracy' | 'rmse';
  estimate: number | null;
  lower: number | null;
  /** −margin of `quantize`, or −worseBy times fp32's error. */
  limit: number;
}

export interface Contestant {
  precision: 'fp32' | 'int8';
  /** The verdict that goes with the model that ships, or that is turned down. */
  verdict: Verdict;
  /** For people. */
  reason: string;
}

/**
 * int8 is a contestant in the same gate (DESIGN §5): it ships when it passes and loses no more than its margin against
 * the fp32 model it was made from; else fp32 goes on with fp32's own verdict, pass or not. int8 may pass where fp32 does
 * not (size, latency). Without an int8 verdict fp32 is the only contestant.
 */
export function chooseContestant({
  fp32,
  int8,
  int8VsFp32,
  int8DoesNotCount,
}: {
  fp32: Verdict;
  int8?: Verdict;
  int8VsFp32?: QuantizationLoss;
  /** Why int8's figures say nothing about where it would serve. */
  int8DoesNotCount?: string;
}): Contestant {
  const keep = (reason: string): Contestant => ({ precision: 'fp32', verdict: fp32, reason });
  if (!int8) return keep('There is no int8 model.');
  if (int8DoesNotCount !== undefined) return keep(`int8 does not count: ${int8DoesNotCount}.`);
  if (int8.result !== 'pass') return keep(`The verdict on int8 is ${int8.result}: ${int8.reasons[0]}`);
  if (!int8VsFp32 || int8VsFp32.lower === null || int8VsFp32.estimate === null)
    return keep('int8 was not compared with fp32 on the same rows.');
  const { metric, estimate, lower, limit } = int8VsFp32;
  const show = metric === 'accuracy' ? points : inUnit;
  const facts = `${show(estimate)} in ${metric} against fp32, at worst ${show(lower)} with 95 % confidence, ${show(limit)} is allowed`;
  // Written so that NaN keeps fp32.
  if (!(lower > limit)) return keep(`int8 may lose too much: ${facts}.`);
  return { precision: 'int8', verdict: int8, reason: `int8 holds: ${facts}.` };
}

const points = (x: number) => `${x > 0 ? '+' : ''}${(100 * x).toFixed(2)} pt`;
const inUnit = (x: number) => `${x > 0 ? '+' : ''}${Number(x.toPrecision(4))}`;
