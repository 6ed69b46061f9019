import { formatSize, shareMetrics } from '../contracts/units.ts';
import type { BoundResult } from '../contracts/verdict.ts';
import type { TestedBound } from './gate-questions.ts';
import type { JudgedModel, VerdictInput } from './verdict.ts';

/** Sentences that need no numbers. */
export const reasonsAlone = {
  noLimit: 'No limit of the gate applies: there is no model to compare with and no floor or ceiling to keep.',
  withoutChampion: 'There is no champion to compare with: only floors and ceilings decide.',
  withoutAnchor: 'There is no anchor yet: no version was approved by a person.',
} as const;

export const notServable = ({ problem }: JudgedModel): string =>
  `The candidate is not servable: ${problem ?? 'it did not load and answer a warm-up request'}.`;

/** Why the verdict is what it is, worst first. */
export function explain({
  tested,
  unscored,
  input,
}: {
  tested: readonly TestedBound[];
  unscored: number;
  input: VerdictInput;
}): string[] {
  const reasons: string[] = [];
  if (unscored > 0)
    reasons.push(
      `The candidate scored ${count(unscored)} of ${count(input.candidate.outcomes.length)} rows with no finite number.`,
    );
  const ranked = tested.map((test, i) => ({ test, i })).sort((a, b) => rank(a.test) - rank(b.test) || a.i - b.i);
  reasons.push(...ranked.map(({ test }) => sentence(test)));
  if (tested.length === 0) reasons.unshift(reasonsAlone.noLimit);
  if (input.gate.against.includes('champion') && !input.champion) reasons.push(reasonsAlone.withoutChampion);
  if (input.gate.against.includes('anchor') && !input.anchor) reasons.push(reasonsAlone.withoutAnchor);
  return reasons;
}

/** Failures by their evidence, then what blocks, then what is only reported, then what holds. */
function rank({ bound, blocks }: TestedBound): number {
  if (bound.result === 'fail') return bound.pFail ?? 0;
  if (blocks) return 2;
  return bound.result === 'tooSmall' ? 3 : 4;
}

function sentence({ bound, obstacle }: TestedBound): string {
  const name = bound.slice === 'overall' ? bound.metric : `${bound.metric} on ${bound.slice}`;
  const compared = bound.against === 'champion' || bound.against === 'anchor';
  const versus = compared ? ` against the ${bound.against}` : '';
  const needs = bound.rowsNeeded === null ? '' : ` About ${count(bound.rowsNeeded)} rows would decide.`;
  if (bound.result === 'tooSmall') return `${name}${versus} is too small to judge: ${obstacle}.`;
  if (obstacle !== undefined) return `${name}${versus} cannot be judged: ${obstacle}.${needs}`;
  const unit = bound.metric.startsWith('latency') ? 'samples' : 'rows';
  const rows = bound.rows > 0 ? ` (${count(bound.rows)} ${unit})` : '';
  const lead = bound.result === 'fail' ? 'fails' : bound.result === 'pass' ? 'holds' : 'is undecided';
  return `${name}${versus} ${lead}: ${facts(bound, compared)}${rows}.${needs}`;
}

function facts(bound: BoundResult, compared: boolean): string {
  const show = (x: number) => (compared ? difference(bound.metric, x) : value(bound.metric, x));
  const { estimate, lower, upper, limit, result, against } = bound;
  if (estimate === null) return 'not measured';
  const limits = compared
    ? `${show(limit)} is allowed`
    : against === 'floor'
      ? `at least ${show(limit)} is required`
      : `at most ${show(limit)} is allowed`;
  if (lower === null || upper === null) return `${show(estimate)}, ${limits}`;
  const range =
    result === 'inconclusive'
      ? `between ${show(lower)} and ${show(upper)}`
      : (result === 'pass') === (against === 'ceiling')
        ? `at most ${show(upper)}`
        : `at least ${show(lower)}`;
  return `${show(estimate)}, ${range} with 95 % confidence, ${limits}`;
}

function value(metric: string, x: number): string {
  if (shareMetrics.includes(metric)) return `${(100 * x).toFixed(2)} %`;
  if (metric === 'sizeBytes') return x < 0 ? `-${formatSize(-x)}` : formatSize(x);
  const text = Number(x.toPrecision(4)).toString();
  return metric.startsWith('latency') ? `${text} ms` : text;
}

/** Positive is better, in the metric's own unit; shares in percentage points. */
function difference(metric: string, x: number): string {
  const sign = x > 0 ? '+' : '';
  return sign + (shareMetrics.includes(metric) ? `${(100 * x).toFixed(2)} pt` : value(metric, x));
}

/** 2500 → `2,500`, whatever the locale. */
const count = (n: number): string => n.toString().replace(/\B(?=(\d{3})+(?!\d))/g, ',');
