import type { ConfidenceCurve } from './confidence.ts';

/**
 * Where the middle of paired differences lies: F. Wilcoxon's signed-rank test, exact, with the Hodges–Lehmann estimate
 * and the bounds that invert the test (M. Hollander, D. Wolfe and E. Chicken, "Nonparametric Statistical Methods", 3rd
 * ed., 3.1–3.3). Asks only that a difference is as likely above the middle as below it, by the same amount: true of two
 * measurements that differ by that much and are otherwise interchangeable, however long their tails.
 *
 * `undefined` for fewer than five differences, which bound nothing at 5 %, and for one that is not finite.
 */
export function signedRankCurve(differences: readonly number[]): ConfidenceCurve | undefined {
  const n = differences.length;
  if (n < 5 || !differences.every(Number.isFinite)) return undefined;
  const averages = walshAverages(differences);
  const atMost = signedRankCdf(n);
  /** How many Walsh averages lie beyond a bound at this level; below zero: there is no bound. */
  const beyond = (alpha: number) => atMost.findLastIndex((p) => p <= alpha);
  /** Rank sum of the differences above `limit`; a tie counts half. */
  const rankSum = (limit: number) => averages.reduce((sum, a) => sum + (a > limit ? 1 : a === limit ? 0.5 : 0), 0);
  const tail = (sum: number) => atMost[Math.min(atMost.length - 1, Math.ceil(sum))]!;
  return {
    estimate: medianOf(averages),
    rows: n,
    variancePerRow: Number.NaN,
    lower: (alpha) => averages[beyond(alpha)] ?? Number.NEGATIVE_INFINITY,
    upper: (alpha) => averages[averages.length - 1 - beyond(alpha)] ?? Number.POSITIVE_INFINITY,
    // The rank sum is symmetric, so either tail is a lower one.
    pBelow: (limit) => tail(rankSum(limit)),
    pAbove: (limit) => tail(averages.length - rankSum(limit)),
  };
}

/** All means of two differences, each with itself too, sorted. */
function walshAverages(differences: readonly number[]): number[] {
  const averages = differences.flatMap((a, i) => differences.slice(i).map((b) => (a + b) / 2));
  return averages.sort((a, b) => a - b);
}

function medianOf(sorted: readonly number[]): number {
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** P(rank sum ≤ k) for k = 0, 1, …: each rank is in the sum or not, with equal chance. */
function signedRankCdf(n: number): number[] {
  let mass = [1];
  for (let rank = 1; rank <= n; rank++) {
    const next = new Array<number>(mass.length + rank).fill(0);
    for (const [sum, p] of mass.entries()) {
      next[sum]! += p / 2;
      next[sum + rank]! += p / 2;
    }
    mass = next;
  }
  let total = 0;
  return mass.map((p) => {
    total += p;
    return Math.min(1, total);
  });
}
