import type { ConfidenceCurve } from './confidence.ts';
import { normalQuantile } from './distributions.ts';

/** More rows than this is no advice. */
const mostRows = 1e9;

/**
 * Rows with which a one-sided test at `alpha` shows with probability `power` that a mean whose rows have this variance
 * lies beyond a limit at distance `gap`: (z₁₋ₐ + z_power)²·variance / gap², which is 6.18·variance / gap² at 5 % and 80 %.
 * For a paired difference of shares that is truly zero the variance is the disagreement rate. Null when no number of
 * rows would do.
 */
export function rowsToResolve(
  variancePerRow: number,
  gap: number,
  { alpha = 0.05, power = 0.8 }: { alpha?: number; power?: number } = {},
): number | null {
  const rows = ((normalQuantile(1 - alpha) + normalQuantile(power)) ** 2 * variancePerRow) / gap ** 2;
  return Number.isFinite(rows) && rows <= mostRows ? Math.max(1, Math.ceil(rows)) : null;
}

/**
 * Rows without a single hit that bound a share below `limit` at 95 %: ln 0.05 / ln(1 − limit), the rule of three. Two
 * models that never disagreed need as many before their difference is known to be within a margin.
 */
export function rowsWithoutEvent(limit: number, alpha = 0.05): number | null {
  const rows = Math.log(alpha) / Math.log1p(-limit);
  return limit > 0 && rows <= mostRows ? Math.ceil(rows) : null;
}

/**
 * Rows that would decide an inconclusive bound. Planned for a true value at `expected` (zero for a difference); if we
 * have that many already, the truth is not there, and the plan goes on from the estimate instead. For a share, pass
 * `worstRows`, the rows that even a flawless record needs.
 */
export function rowsToDecide(
  curve: ConfidenceCurve,
  limit: number,
  { expected, worstRows = null }: { expected: number; worstRows?: number | null },
): number | null {
  const planned = rowsToResolve(curve.variancePerRow, expected - limit);
  const atLeast = Math.max(planned ?? 0, worstRows ?? 0);
  if (planned !== null && atLeast > curve.rows) return atLeast;
  const observed = rowsToResolve(curve.variancePerRow, curve.estimate - limit);
  return observed === null ? null : Math.max(observed, curve.rows + 1);
}
