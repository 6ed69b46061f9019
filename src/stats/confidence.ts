import { betaQuantile, binomialCdf, binomialSf, normalCdf, normalQuantile } from './distributions.ts';

/** Confidence of every one-sided bound that the gate tests: 95 %. */
export const gateAlpha = 0.05;

/**
 * What the rows say about one number: its estimate, and the bounds at any level. The same four questions are asked of a
 * proportion, an AUC and a paired difference, so the gate need not know which one it tests.
 */
export interface ConfidenceCurve {
  readonly estimate: number;
  /** Rows that it rests on. */
  readonly rows: number;
  /** Variance that one row adds: the estimate's variance is about `variancePerRow / rows`. */
  readonly variancePerRow: number;
  /** One-sided lower bound at confidence 1 − alpha. */
  lower(alpha: number): number;
  /** One-sided upper bound at confidence 1 − alpha. */
  upper(alpha: number): number;
  /** p-value of "the true value is at least `limit`"; small means that it lies below. */
  pBelow(limit: number): number;
  /** p-value of "the true value is at most `limit`"; small means that it lies above. */
  pAbove(limit: number): number;
}

/** Clopper–Pearson: exact, so a floor is never passed too often. For `rows` > 0. */
export function binomialCurve(successes: number, rows: number): ConfidenceCurve {
  const estimate = successes / rows;
  return {
    estimate,
    rows,
    variancePerRow: estimate * (1 - estimate),
    lower: (alpha) => (successes === 0 ? 0 : betaQuantile(alpha, successes, rows - successes + 1)),
    upper: (alpha) => (successes === rows ? 1 : betaQuantile(1 - alpha, successes + 1, rows - successes)),
    pBelow: (limit) => binomialCdf(successes, rows, Math.min(1, Math.max(0, limit))),
    pAbove: (limit) => binomialSf(successes, rows, Math.min(1, Math.max(0, limit))),
  };
}

/** An estimate that is normal with a known standard error. */
export function normalCurve(estimate: number, standardError: number, rows: number): ConfidenceCurve {
  const p = (distance: number) =>
    standardError > 0 ? normalCdf(distance / standardError) : distance < 0 ? 0 : distance > 0 ? 1 : 0.5;
  return {
    estimate,
    rows,
    variancePerRow: standardError ** 2 * rows,
    lower: (alpha) => estimate + normalQuantile(alpha) * standardError,
    upper: (alpha) => estimate - normalQuantile(alpha) * standardError,
    pBelow: (limit) => p(estimate - limit),
    pAbove: (limit) => p(limit - estimate),
  };
}

/** A curve seen through a rising function, such as F1 = 2J/(1+J) or the logistic function. */
export function throughRising(
  curve: ConfidenceCurve,
  map: { to: (x: number) => number; from: (y: number) => number; slope: (x: number) => number },
): ConfidenceCurve {
  return {
    estimate: map.to(curve.estimate),
    rows: curve.rows,
    variancePerRow: curve.variancePerRow * map.slope(curve.estimate) ** 2,
    lower: (alpha) => map.to(curve.lower(alpha)),
    upper: (alpha) => map.to(curve.upper(alpha)),
    pBelow: (limit) => curve.pBelow(map.from(limit)),
    pAbove: (limit) => curve.pAbove(map.from(limit)),
  };
}

/** The curve of minus the number: turns "lower is better" into "higher is better". */
export function negated(curve: ConfidenceCurve): ConfidenceCurve {
  return {
    estimate: 0 - curve.estimate,
    rows: curve.rows,
    variancePerRow: curve.variancePerRow,
    lower: (alpha) => 0 - curve.upper(alpha),
    upper: (alpha) => 0 - curve.lower(alpha),
    pBelow: (limit) => curve.pAbove(-limit),
    pAbove: (limit) => curve.pBelow(-limit),
  };
}

/** The curve of the number plus a constant. */
export const shifted = (curve: ConfidenceCurve, by: number): ConfidenceCurve =>
  throughRising(curve, { to: (x) => x + by, from: (y) => y - by, slope: () => 1 });
