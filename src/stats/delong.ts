import { binomialCurve, type ConfidenceCurve, normalCurve, throughRising } from './confidence.ts';
import type { ScoredRows } from './scored-rows.ts';

/**
 * Area under the ROC curve with its variance. E. DeLong, D. DeLong and D. Clarke-Pearson, "Comparing the areas under two
 * or more correlated receiver operating characteristic curves", Biometrics 44 (1988) 837–845, by the midranks of X. Sun
 * and W. Xu, IEEE Signal Processing Letters 21 (2014) 1389–1393: O(n log n).
 */
interface Placements {
  auc: number;
  /** Per positive row, the share of negatives that it outranks; ties count half. */
  positives: Float64Array;
  /** Per negative row, the share of positives that outrank it. */
  negatives: Float64Array;
}

function placements({ score, actual, task, positive }: ScoredRows): Placements | undefined {
  if (task !== 'binary-classification' || positive === undefined || !score.every(Number.isFinite)) return undefined;
  const positiveScores = score.filter((_, i) => actual[i] === 1);
  const negativeScores = score.filter((_, i) => actual[i] === 0);
  const [m, n] = [positiveScores.length, negativeScores.length];
  if (m === 0 || n === 0) return undefined;
  const overall = midranks(Float64Array.from([...positiveScores, ...negativeScores]));
  const amongPositives = midranks(positiveScores);
  const amongNegatives = midranks(negativeScores);
  const positives = positiveScores.map((_, i) => (overall[i]! - amongPositives[i]!) / n);
  const negatives = negativeScores.map((_, j) => 1 - (overall[m + j]! - amongNegatives[j]!) / m);
  return { auc: mean(positives), positives, negatives };
}

/** 1-based ranks; equal values share the mean of theirs. */
function midranks(values: Float64Array): Float64Array {
  const order = Int32Array.from(values.keys()).sort((a, b) => values[a]! - values[b]!);
  const ranks = new Float64Array(values.length);
  for (let start = 0; start < order.length; ) {
    let end = start + 1;
    while (end < order.length && values[order[end]!] === values[order[start]!]) end++;
    for (let i = start; i < end; i++) ranks[order[i]!] = (start + 1 + end) / 2;
    start = end;
  }
  return ranks;
}

const mean = (values: Float64Array) => values.reduce((sum, v) => sum + v, 0) / values.length;

function variance(values: Float64Array): number {
  if (values.length < 2) return 0;
  const m = mean(values);
  return values.reduce((sum, v) => sum + (v - m) ** 2, 0) / (values.length - 1);
}

/** Rows of the rarer class; an AUC rests on no more than these. */
const rarer = ({ positives, negatives }: Placements) => Math.min(positives.length, negatives.length);

/**
 * One model's AUC; on the logit scale, where the bounds stay within (0, 1) and cover better near 1 (M. Pepe, "The
 * Statistical Evaluation of Medical Tests", 2003, 5.3). A perfect ranking has no variance to estimate: it is then held
 * as good as that many hits in a row as the rarer class has rows.
 */
export function aucCurve(scored: ScoredRows): ConfidenceCurve | undefined {
  const placed = placements(scored);
  if (!placed) return undefined;
  const { auc } = placed;
  const error = Math.sqrt(
    variance(placed.positives) / placed.positives.length + variance(placed.negatives) / placed.negatives.length,
  );
  if (error === 0 || auc <= 0 || auc >= 1) {
    const units = rarer(placed);
    return { ...binomialCurve(auc * units, units), rows: scored.rows };
  }
  const slope = auc * (1 - auc);
  return throughRising(normalCurve(Math.log(auc / (1 - auc)), error / slope, scored.rows), {
    to: (x) => 1 / (1 + Math.exp(-x)),
    from: (y) => (y <= 0 ? Number.NEGATIVE_INFINITY : y >= 1 ? Number.POSITIVE_INFINITY : Math.log(y / (1 - y))),
    slope: () => slope,
  });
}

/** AUC of the candidate − AUC of the other, on the same rows. */
export function aucDifferenceCurve(candidate: ScoredRows, other: ScoredRows): ConfidenceCurve | undefined {
  const a = placements(candidate);
  const b = placements(other);
  if (!a || !b) return undefined;
  const positives = a.positives.map((v, i) => v - b.positives[i]!);
  const negatives = a.negatives.map((v, i) => v - b.negatives[i]!);
  const error = Math.sqrt(variance(positives) / positives.length + variance(negatives) / negatives.length);
  return normalCurve(a.auc - b.auc, error, candidate.rows);
}
