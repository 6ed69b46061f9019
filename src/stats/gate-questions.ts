import type { BoundResult, GateMetric, GateSpec } from '../contracts/verdict.ts';
import type { Allowance } from './paired.ts';

export type Opponent = 'champion' | 'anchor';

/** One limit that a requirement sets: on the metric itself, or on its difference to another model. */
export type GateQuestion =
  | { against: 'floor' | 'ceiling'; limit: number }
  | { against: Opponent; allowance: Allowance };

/** A bound and what it means for the verdict. */
export interface TestedBound {
  bound: BoundResult;
  /** The bound is not met and not merely reported. */
  blocks: boolean;
  /** Why it cannot be judged, for people. */
  obstacle?: string;
}

/** The models of one comparison; `Model` is their rows, or their latency and size. */
export interface Contest<Model> {
  candidate: Model;
  opponents: Readonly<Partial<Record<Opponent, Model>>>;
}

/** Floor and ceiling first, then champion and anchor as far as the gate names them and they exist. */
export function questionsOf(metric: GateMetric, gate: GateSpec, contest: Contest<unknown>): GateQuestion[] {
  const questions: GateQuestion[] = [];
  if (metric.floor !== undefined) questions.push({ against: 'floor', limit: metric.floor });
  if (metric.ceiling !== undefined) questions.push({ against: 'ceiling', limit: metric.ceiling });
  for (const against of gate.against) {
    if (contest.opponents[against] === undefined) continue;
    if (metric.margin !== undefined) {
      const margin = against === 'anchor' ? (gate.anchorMargin ?? metric.margin) : metric.margin;
      questions.push({ against, allowance: { margin } });
    }
    if (metric.worseBy !== undefined) questions.push({ against, allowance: { worseBy: metric.worseBy } });
  }
  return questions;
}

/** A bound that nothing is known about; it blocks, since the gate never passes on what is missing. */
export function unknownBound(
  metric: GateMetric,
  question: GateQuestion,
  { slice, rows, obstacle }: { slice: string; rows: number; obstacle: string },
): TestedBound {
  const bound: BoundResult = {
    metric: metric.metric,
    slice,
    against: question.against,
    result: 'inconclusive',
    estimate: null,
    lower: null,
    upper: null,
    limit: 'limit' in question ? question.limit : 'margin' in question.allowance ? 0 - question.allowance.margin : 0,
    rows,
    disagreement: null,
    rowsNeeded: null,
    pFail: null,
  };
  return { bound, blocks: true, obstacle };
}
