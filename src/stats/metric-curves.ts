import { bootstrapCurve } from './bootstrap.ts';
import { binomialCurve, type ConfidenceCurve, throughRising } from './confidence.ts';
import { aucCurve, aucDifferenceCurve } from './delong.ts';
import { pairedProportionCurve } from './paired-proportions.ts';
import type { ScoredRows } from './scored-rows.ts';
import { type OwnMetric, type RowMetric, weightedMetric } from './weighted-metrics.ts';

/** A metric that is a share of hits among rows which the labels choose, so that two models share those rows. */
interface Proportion {
  among: (rows: ScoredRows, row: number) => boolean;
  hit: (rows: ScoredRows, row: number) => boolean;
}

const isActual = (rows: ScoredRows, i: number) => rows.actual[i] === 1;
const isFlagged = (rows: ScoredRows, i: number) => rows.flagged[i] === 1;

/** Undefined for metrics of another kind, and where the task or the positive class leaves the metric undefined. */
function proportionOf(metric: RowMetric, rows: ScoredRows): Proportion | undefined {
  if (typeof metric === 'object') return ownShareOf(metric, rows);
  const { task, positive } = rows;
  if (task === 'regression') return undefined;
  if (metric === 'accuracy') return { among: () => true, hit: (rows, i) => rows.correct[i] === 1 };
  if (positive === undefined) return undefined;
  switch (metric) {
    case 'recall':
      return { among: isActual, hit: isFlagged };
    case 'falseNegativeRate':
      return { among: isActual, hit: (rows, i) => !isFlagged(rows, i) };
    case 'falsePositiveRate':
      return { among: (rows, i) => !isActual(rows, i), hit: isFlagged };
    default:
      return undefined;
  }
}

/** A program that says yes or no for each row gives a share, and shares have exact bounds. */
function ownShareOf({ value, aggregate }: OwnMetric, { outcomes }: ScoredRows): Proportion | undefined {
  const isYesOrNo = ({ values }: ScoredRows['outcomes'][number]) => values?.[value] === 0 || values?.[value] === 1;
  if (aggregate !== 'mean' || !outcomes.every(isYesOrNo)) return undefined;
  return { among: () => true, hit: (rows, i) => rows.outcomes[i]!.values![value] === 1 };
}

function countRows(rows: ScoredRows, counts: (row: number) => boolean): number {
  let count = 0;
  for (let i = 0; i < rows.rows; i++) if (counts(i)) count++;
  return count;
}

/** Rows that the metric rests on: recall on the positive ones, precision on the flagged ones, accuracy on all. */
export function metricSupport(metric: RowMetric, rows: ScoredRows): number {
  const proportion = proportionOf(metric, rows);
  if (proportion) return countRows(rows, (i) => proportion.among(rows, i));
  if (rows.positive !== undefined && metric === 'precision') return countRows(rows, (i) => isFlagged(rows, i));
  if (rows.positive !== undefined && metric === 'f1')
    return countRows(rows, (i) => isFlagged(rows, i) || isActual(rows, i));
  return rows.rows;
}

/** Rows of the class that limits a metric: an AUC over 2,000 rows with 3 positives knows 3 rows. */
export function limitingRows(metric: RowMetric, rows: ScoredRows): number {
  if (metric !== 'rocAuc' && metric !== 'prAuc') return metricSupport(metric, rows);
  const positives = countRows(rows, (i) => isActual(rows, i));
  return Math.min(positives, rows.rows - positives);
}

/**
 * Rows of the limiting class below which a metric has no bounds to trust: none for shares, whose bounds are exact; the
 * others lean on large samples.
 */
export const fewestLimitingRows = (metric: RowMetric, rows: ScoredRows): number =>
  proportionOf(metric, rows) ? 0 : 20;

/**
 * One model's metric with its bounds; undefined where the metric is (no such rows, one class, scores that are not
 * finite). Clopper–Pearson for shares (F1 = 2J/(1+J) through the share J of true positives among all that are flagged or
 * positive), DeLong for the ROC AUC, BCa bootstrap for the others.
 */
export function metricCurve(metric: RowMetric, rows: ScoredRows): ConfidenceCurve | undefined {
  const proportion = proportionOf(metric, rows);
  if (proportion) {
    const support = metricSupport(metric, rows);
    const hits = countRows(rows, (i) => proportion.among(rows, i) && proportion.hit(rows, i));
    return support > 0 ? binomialCurve(hits, support) : undefined;
  }
  if (rows.positive !== undefined && rows.task !== 'regression' && (metric === 'precision' || metric === 'f1')) {
    const support = metricSupport(metric, rows);
    if (support === 0) return undefined;
    const share = binomialCurve(
      countRows(rows, (i) => isFlagged(rows, i) && isActual(rows, i)),
      support,
    );
    return metric === 'precision' ? share : throughRising(share, f1OfShare);
  }
  if (metric === 'rocAuc') return aucCurve(rows);
  return bootstrapCurve(rows.rows, weightedMetric(metric, rows));
}

const f1OfShare = {
  to: (share: number) => (2 * share) / (1 + share),
  from: (f1: number) => f1 / (2 - f1),
  slope: (share: number) => 2 / (1 + share) ** 2,
};

/**
 * The metric of the candidate − that of the other, on the same rows (`requireSameRows`): exact score test for shares,
 * DeLong for the ROC AUC, paired BCa bootstrap for the others.
 */
export function differenceCurve(
  metric: RowMetric,
  candidate: ScoredRows,
  other: ScoredRows,
): ConfidenceCurve | undefined {
  const proportion = proportionOf(metric, candidate);
  if (proportion && proportionOf(metric, other)) {
    const rows = metricSupport(metric, candidate);
    const only = (a: ScoredRows, b: ScoredRows) =>
      countRows(a, (i) => proportion.among(a, i) && proportion.hit(a, i) && !proportion.hit(b, i));
    if (rows === 0) return undefined;
    return pairedProportionCurve({ rows, gained: only(candidate, other), lost: only(other, candidate) });
  }
  if (metric === 'rocAuc') return aucDifferenceCurve(candidate, other);
  const ours = weightedMetric(metric, candidate);
  const theirs = weightedMetric(metric, other);
  return bootstrapCurve(candidate.rows, (weights) => ours(weights) - theirs(weights));
}
