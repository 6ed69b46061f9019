import { lnBeta } from './special-functions.ts';

/**
 * Two-sample tests whose p-values hold far out in the tail, where an alarm that is looked for every day is decided: a
 * normal or chi-square approximation is not good at one in a million.
 */
export interface TwoSampleTest {
  /** What was measured: the greatest distance of the distribution functions, or of a category's shares. */
  distance: number;
  /** At most the true p-value's level: never too small. */
  p: number;
}

/**
 * Kolmogorov–Smirnov. The bound is e·exp(−2·nm/(n+m)·D²): F. Wei and R. Dudley, "Two-sample Dvoretzky–Kiefer–Wolfowitz
 * inequalities", Statistics and Probability Letters 82 (2012) 636–644, who prove the constant e for n = m and found it to
 * hold with 2 for every n ≠ m above 3 that they computed. Ties only make it more careful.
 *
 * @param reference rising
 * @param live rising
 */
export function kolmogorovSmirnov(reference: ArrayLike<number>, live: ArrayLike<number>): TwoSampleTest {
  const [n, m] = [reference.length, live.length];
  if (n === 0 || m === 0) return { distance: 0, p: 1 };
  let [i, j, distance] = [0, 0, 0];
  while (i < n && j < m) {
    const value = Math.min(reference[i]!, live[j]!);
    while (i < n && reference[i]! <= value) i++;
    while (j < m && live[j]! <= value) j++;
    distance = Math.max(distance, Math.abs(i / n - j / m));
  }
  return { distance, p: Math.min(1, Math.exp(1 - ((2 * n * m) / (n + m)) * distance ** 2)) };
}

/**
 * Fisher's exact test that two groups of rows have something equally often, both sides: twice the smaller tail of the
 * hypergeometric distribution (R. A. Fisher, "Statistical Methods for Research Workers", 1934, §21.02).
 */
export function fisherExact(
  reference: { rows: number; have: number },
  live: { rows: number; have: number },
): TwoSampleTest {
  const have = reference.have + live.have;
  const all = reference.rows + live.rows;
  if (reference.rows === 0 || live.rows === 0) return { distance: 0, p: 1 };
  const least = Math.max(0, have - reference.rows);
  const most = Math.min(have, live.rows);
  const at = Math.exp(lnChoose(live.rows, live.have) + lnChoose(reference.rows, reference.have) - lnChoose(all, have));
  // Each term of the tail follows from the one before it; terms fall as fast as a geometric series at least.
  const tail = (step: 1 | -1, end: number): number => {
    let [sum, term] = [at, at];
    for (let x = live.have; x !== end && term > sum * 1e-17; x += step) {
      const others = reference.rows - have + x;
      term *=
        step === 1
          ? ((live.rows - x) * (have - x)) / ((x + 1) * (others + 1))
          : (x * others) / ((live.rows - x + 1) * (have - x + 1));
      sum += term;
    }
    return sum;
  };
  return {
    distance: Math.abs(live.have / live.rows - reference.have / reference.rows),
    p: Math.min(1, 2 * Math.min(tail(1, most), tail(-1, least))),
  };
}

/**
 * Whether any of several things has become more or less frequent among rows: Fisher's exact test of each, Bonferroni over
 * all that either side has. The things may exclude each other (categories) or not (terms of a text).
 *
 * @param reference rows of the reference that have each, by place
 * @param live the same for live rows
 */
export function frequencyShift(
  reference: { rows: number; have: readonly number[] },
  live: { rows: number; have: readonly number[] },
): TwoSampleTest {
  let [tests, distance, p] = [0, 0, 1];
  for (const [i, have] of reference.have.entries()) {
    const now = live.have[i]!;
    if (have + now === 0) continue;
    tests += 1;
    const test = fisherExact({ rows: reference.rows, have }, { rows: live.rows, have: now });
    distance = Math.max(distance, test.distance);
    p = Math.min(p, test.p);
  }
  return { distance, p: Math.min(1, p * tests) };
}

const lnChoose = (n: number, k: number): number => -Math.log(n + 1) - lnBeta(k + 1, n - k + 1);
