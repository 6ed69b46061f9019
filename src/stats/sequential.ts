import { lnBeta } from './special-functions.ts';

/**
 * Evidence that may be looked at after every request. Each function returns ln e of an e-process: while its null
 * hypothesis is true, e reaches 1/α at any time with probability at most α (Ville's inequality; A. Ramdas, P. Grünwald,
 * V. Vovk and G. Shafer, "Game-theoretic statistics and safe anytime-valid inference", Statistical Science 38 (2023)
 * 576–601). All depend on cumulative counts alone, so a decision needs no memory of earlier looks, and a replay gives
 * the same decision.
 */
export interface Trials {
  trials: number;
  events: number;
}

/**
 * Priors of the event rates: most endpoints hardly ever fail, and a broken candidate may fail always. Any prior is
 * valid; these decide how soon evidence adds up.
 */
const rarely = { a: 0.25, b: 4 };
const anyRate = { a: 1, b: 1 };

/**
 * Null hypothesis: the candidate's event rate exceeds the other's by at most `margin` (which may be negative).
 * Mixture likelihood of both rates over the greatest likelihood under the null: L. Wasserman, A. Ramdas and
 * S. Balakrishnan, "Universal inference", PNAS 117 (2020) 16880–16890. The split of the traffic may change at will.
 */
export function twoSampleEvidence(candidate: Trials, other: Trials, margin: number): number {
  const mixture = logMeanExp(logMixture(candidate, rarely), logMixture(candidate, anyRate)) + logMixture(other, rarely);
  return mixture - logSupremum(candidate, other, margin);
}

/** ln ∫ θ^events (1−θ)^(trials−events) dBeta(a, b). */
const logMixture = ({ trials, events }: Trials, { a, b }: { a: number; b: number }): number =>
  lnBeta(a + events, b + trials - events) - lnBeta(a, b);

const logMeanExp = (x: number, y: number): number => Math.max(x, y) + Math.log1p(Math.exp(-Math.abs(x - y))) - Math.LN2;

/** Greatest ln likelihood with rate(candidate) ≤ rate(other) + margin. */
function logSupremum(candidate: Trials, other: Trials, margin: number): number {
  const rate = ({ trials, events }: Trials) => events / trials;
  const free =
    candidate.trials === 0 || other.trials === 0
      ? unboundedBy(candidate, other, margin)
      : rate(candidate) <= rate(other) + margin;
  if (free) return logLikelihood(candidate, rate(candidate)) + logLikelihood(other, rate(other));
  // On the boundary the likelihood is concave in the other's rate: its slope changes sign once.
  let low = Math.max(0, -margin);
  let high = Math.min(1, 1 - margin);
  for (let i = 0; i < 60 && high - low > 1e-15; i++) {
    const middle = (low + high) / 2;
    if (slope(candidate, middle + margin) + slope(other, middle) > 0) low = middle;
    else high = middle;
  }
  const boundary = (low + high) / 2;
  return logLikelihood(candidate, boundary + margin) + logLikelihood(other, boundary);
}

/** A rate without a trial can be anything, so only a margin outside what it can reach binds the other rate. */
function unboundedBy(candidate: Trials, other: Trials, margin: number): boolean {
  if (candidate.trials > 0) return candidate.events / candidate.trials <= 1 + margin;
  return other.trials === 0 || other.events / other.trials + margin >= 0;
}

function logLikelihood({ trials, events }: Trials, rate: number): number {
  if (trials === 0) return 0;
  return (events === 0 ? 0 : events * Math.log(rate)) + (events === trials ? 0 : (trials - events) * Math.log1p(-rate));
}

function slope({ trials, events }: Trials, rate: number): number {
  return (events === 0 ? 0 : events / rate) - (events === trials ? 0 : (trials - events) / (1 - rate));
}

/** How often a bounded quantity took a value. */
export interface Tally {
  value: number;
  count: number;
}

const bets = Array.from({ length: 16 }, (_, j) => ({ share: 2 ** (-j / 2), weight: 1 / (j + 1) }));
const betWeights = bets.reduce((sum, { weight }) => sum + weight, 0);

/**
 * Null hypothesis: whatever came before, the next value has a mean of at most `mean`. A mixture of fixed bets against
 * it: I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by betting", JRSS B 86 (2024) 1–27.
 * The values need not be alike over time, nor independent. They must not lie below `least`.
 */
export function bettingEvidence(tallies: readonly Tally[], mean: number, least: number): number {
  if (mean <= least)
    return tallies.some(({ value, count }) => count > 0 && value > mean) ? Number.POSITIVE_INFINITY : 0;
  const wealth = bets.map(({ share, weight }) => {
    const bet = share / (mean - least);
    let log = Math.log(weight / betWeights);
    for (const { value, count } of tallies)
      if (count > 0) log += count * Math.log(Math.max(0, 1 + bet * (value - mean)));
    return log;
  });
  const most = Math.max(...wealth);
  if (most === Number.NEGATIVE_INFINITY) return most;
  return most + Math.log(wealth.reduce((sum, w) => sum + Math.exp(w - most), 0));
}

/** Null hypothesis: events have a rate of at most `rate`. */
export const tooOften = ({ trials, events }: Trials, rate: number): number =>
  bettingEvidence(
    [
      { value: 1, count: events },
      { value: 0, count: trials - events },
    ],
    rate,
    0,
  );

/** Null hypothesis: events have a rate of at least `rate`. */
export const tooRarely = ({ trials, events }: Trials, rate: number): number =>
  bettingEvidence(
    [
      { value: -1, count: events },
      { value: 0, count: trials - events },
    ],
    -rate,
    -1,
  );
