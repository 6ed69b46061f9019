import type { RowOutcome } from '../contracts/manifests.ts';
import { bootstrapCurve } from './bootstrap.ts';
import { type ConfidenceCurve, gateAlpha, negated, shifted } from './confidence.ts';
import { differenceCurve, limitingRows, metricSupport } from './metric-curves.ts';
import { mcnemarMidP } from './paired-proportions.ts';
import { type RowMeaning, requireSameRows, type ScoredRows, scoredRows } from './scored-rows.ts';
import { type RowMetric, weightedMetric } from './weighted-metrics.ts';

/** How much worse than the other the candidate may be: `margin` absolute, `worseBy` relative to the other's value. */
export type Allowance = { margin: number } | { worseBy: number };

/** A difference candidate − other on the same rows, signed so that positive is better. */
export interface PairedDifference {
  /** Undefined where the metric is. */
  curve: ConfidenceCurve | undefined;
  /** −margin, or −worseBy times the other's value: the difference must lie above it. Zero where that is undefined. */
  limit: number;
  /** Rows that the metric rests on. */
  rows: number;
  /** Share of these rows on which the predicted labels differ; null for regression. */
  disagreement: number | null;
}

export interface PairedQuestion {
  metric: RowMetric;
  direction: 'higher' | 'lower';
  allowance: Allowance;
}

/** Both already on the same rows (`requireSameRows`). */
export function pairedDifference(
  { metric, direction, allowance }: PairedQuestion,
  candidate: ScoredRows,
  other: ScoredRows,
): PairedDifference {
  const disagreement = disagreementOf(metric, candidate, other);
  const answer = (curve: ConfidenceCurve | undefined, limit: number): PairedDifference => ({
    curve,
    limit,
    rows: curve?.rows ?? metricSupport(metric, candidate),
    disagreement,
  });
  if ('margin' in allowance) {
    const raw = differenceCurve(metric, candidate, other);
    return answer(raw && (direction === 'higher' ? raw : negated(raw)), 0 - allowance.margin);
  }
  // The limit moves with the other's value, which is itself an estimate: the slack is resampled as one number, and only
  // then shown as a difference.
  const ours = weightedMetric(metric, candidate);
  const theirs = weightedMetric(metric, other);
  const sign = direction === 'higher' ? 1 : -1;
  const allowed = (value: number) => allowance.worseBy * Math.abs(value);
  const slack = bootstrapCurve(candidate.rows, (weights) => {
    const reference = theirs(weights);
    return sign * (ours(weights) - reference) + allowed(reference);
  });
  if (!slack) return answer(undefined, 0);
  const limit = 0 - allowed(theirs(new Uint8Array(other.rows).fill(1)));
  return answer(shifted(slack, limit), limit);
}

/** What the metric rests on is chosen by labels; where predictions choose it (precision, F1) all rows count. */
function disagreementOf(metric: RowMetric, candidate: ScoredRows, other: ScoredRows): number | null {
  if (typeof metric === 'object' || candidate.task === 'regression' || candidate.rows === 0) return null;
  const among =
    metric === 'recall' || metric === 'falseNegativeRate' ? 1 : metric === 'falsePositiveRate' ? 0 : undefined;
  let rows = 0;
  let differ = 0;
  for (let i = 0; i < candidate.rows; i++) {
    if (among !== undefined && candidate.actual[i] !== among) continue;
    rows++;
    if (candidate.outcomes[i]!.predicted !== other.outcomes[i]!.predicted) differ++;
  }
  return rows > 0 ? differ / rows : null;
}

/** A paired comparison as numbers. Bounds are one-sided at 95 %; null where the metric is undefined. */
export interface PairedComparison {
  rows: number;
  /** Rows of the class that limits the metric. */
  limitingRows: number;
  estimate: number | null;
  lower: number | null;
  upper: number | null;
  limit: number;
  /** p-value for "the limit is violated". */
  pFail: number | null;
  /** p-value for "the limit holds". */
  pPass: number | null;
  disagreement: number | null;
  /** Two-sided McNemar mid-p for "equally often right"; null for regression. */
  mcnemar: number | null;
}

/**
 * Compares two models on the same rows. Throws `StatsInputError` when ids or labels differ between them.
 */
export function comparePaired(
  question: PairedQuestion,
  candidate: readonly RowOutcome[],
  other: readonly RowOutcome[],
  meaning: RowMeaning,
): PairedComparison {
  const ours = scoredRows(candidate, meaning);
  const theirs = scoredRows(other, meaning);
  requireSameRows(ours, theirs, 'other model');
  const { curve, limit, rows, disagreement } = pairedDifference(question, ours, theirs);
  return {
    rows,
    limitingRows: limitingRows(question.metric, ours),
    estimate: curve?.estimate ?? null,
    lower: curve?.lower(gateAlpha) ?? null,
    upper: curve?.upper(gateAlpha) ?? null,
    limit,
    pFail: curve?.pBelow(limit) ?? null,
    pPass: curve?.pAbove(limit) ?? null,
    disagreement,
    mcnemar: meaning.task === 'regression' ? null : mcnemarOf(ours, theirs),
  };
}

function mcnemarOf(candidate: ScoredRows, other: ScoredRows): number {
  let gained = 0;
  let lost = 0;
  for (let i = 0; i < candidate.rows; i++) {
    if (candidate.correct[i]! > other.correct[i]!) gained++;
    if (candidate.correct[i]! < other.correct[i]!) lost++;
  }
  return mcnemarMidP({ rows: candidate.rows, gained, lost });
}
