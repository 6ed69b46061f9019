import { normalQuantile } from './distributions.ts';
import { spentAlpha } from './drift.ts';
import { StatsInputError } from './errors.ts';

/** What became of the rows of one group: `source=web`. */
export interface GroupCounts {
  group: string;
  rows: number;
  /** Answered with the positive class. */
  selected: number;
  /** Labelled with the positive class. */
  positives: number;
  /** Both. */
  truePositives: number;
}

export const biasMeasures = [
  'demographicParityDifference',
  'equalOpportunityDifference',
  'disparateImpactRatio',
] as const;
export type BiasMeasure = (typeof biasMeasures)[number];

export interface BiasFinding {
  /** The slice column that tells the groups apart. */
  feature: string;
  measure: BiasMeasure;
  /** Null where fewer than two groups have enough rows. */
  estimate: number | null;
  /** Bounds that hold together for all pairs of groups at confidence 1 − alpha each. */
  lower: number | null;
  upper: number | null;
  /** The groups with the highest and the lowest rate. */
  highest: string | null;
  lowest: string | null;
  /** Groups with fewer rows than asked for: said, not judged. */
  tooSmall: string[];
  biased: boolean;
}

export interface BiasRules {
  /** Probability of any alarm ever, however often one looks, while every difference is within the limit. */
  alpha: number;
  /** A difference of rates that is allowed, 0 to 1. */
  differenceAbove: number;
  /** Rows that a group needs (for equal opportunity: rows labelled positive). */
  minRows: number;
}

export interface BiasReport {
  window: number;
  alpha: number;
  findings: BiasFinding[];
  reason: string | null;
}

/**
 * Group fairness by the definitions of Fairlearn's user guide (fairlearn.metrics): demographic parity difference is the
 * greatest minus the smallest selection rate, equal opportunity difference the same of true positive rates (M. Hardt,
 * E. Price and N. Srebro, "Equality of opportunity in supervised learning", NIPS 2016), disparate impact ratio the
 * smallest selection rate over the greatest (the four-fifths rule, 29 CFR 1607.4 D). The differences decide; the ratio is
 * reported.
 *
 * The greatest of many differences is large by chance, so every pair of groups has its interval, Bonferroni over pairs,
 * measures and features, and `spentAlpha` over windows. Wilson's intervals are approximate: the rate holds about, not
 * exactly as for drift.
 */
export function decideBias(
  groups: ReadonlyMap<string, readonly GroupCounts[]>,
  window: number,
  rules: BiasRules,
): BiasReport {
  requireSound(groups);
  const alpha = spentAlpha(rules.alpha, window);
  const each = alpha / Math.max(1, 2 * groups.size);
  const findings = [...groups].flatMap(([feature, counts]) => {
    const selection = counts.map(({ group, rows, selected }) => ({ group, rows, hits: selected }));
    const opportunity = counts.map(({ group, positives, truePositives }) => ({
      ...{ group, rows: positives, hits: truePositives },
    }));
    return [
      differenceFinding(feature, 'demographicParityDifference', selection, each, rules),
      differenceFinding(feature, 'equalOpportunityDifference', opportunity, each, rules),
      ratioFinding(feature, selection, each, rules),
    ];
  });
  const worst = findings.filter(({ biased }) => biased).sort((a, b) => b.estimate! - a.estimate!)[0];
  const reason = worst
    ? `bias: ${words[worst.measure]} by ${worst.feature} ${points(worst.estimate!)} (at least ${points(worst.lower!)}) between ${worst.highest} and ${worst.lowest}, above ${points(rules.differenceAbove)}`
    : null;
  return { window, alpha, findings, reason };
}

const words: Record<BiasMeasure, string> = {
  demographicParityDifference: 'demographic parity difference',
  equalOpportunityDifference: 'equal opportunity difference',
  disparateImpactRatio: 'disparate impact ratio',
};

interface Rate {
  group: string;
  rows: number;
  hits: number;
}

function differenceFinding(
  feature: string,
  measure: BiasMeasure,
  rates: readonly Rate[],
  alpha: number,
  { minRows, differenceAbove }: BiasRules,
): BiasFinding {
  const { judged, tooSmall } = parted(rates, minRows);
  const [highest, lowest] = extremes(judged);
  if (!highest || !lowest) return unjudged(feature, measure, tooSmall);
  const z = perPair(alpha, judged.length);
  const intervals = pairs(judged).map(([a, b]) => newcombe(a, b, z));
  const lower = Math.max(0, ...intervals.map((interval) => interval.lower));
  return {
    ...{ feature, measure, tooSmall, lower },
    estimate: share(highest) - share(lowest),
    upper: Math.max(0, ...intervals.map((interval) => interval.upper)),
    ...{ highest: highest.group, lowest: lowest.group },
    biased: lower > differenceAbove,
  };
}

function ratioFinding(feature: string, rates: readonly Rate[], alpha: number, { minRows }: BiasRules): BiasFinding {
  const measure = 'disparateImpactRatio';
  const { judged, tooSmall } = parted(rates, minRows);
  const [highest, lowest] = extremes(judged);
  // 0/0: nobody is selected anywhere, which treats all alike and says nothing.
  if (!highest || !lowest || highest.hits === 0) return unjudged(feature, measure, tooSmall);
  const z = perPair(alpha, judged.length);
  const intervals = pairs(judged).map(([a, b]) => katz(a, b, z));
  return {
    ...{ feature, measure, tooSmall },
    estimate: share(lowest) / share(highest),
    lower: Math.min(1, ...intervals.map((interval) => interval.lower)),
    upper: Math.min(1, ...intervals.map((interval) => interval.upper)),
    ...{ highest: highest.group, lowest: lowest.group },
    biased: false,
  };
}

const unjudged = (feature: string, measure: BiasMeasure, tooSmall: string[]): BiasFinding => ({
  ...{ feature, measure, tooSmall, estimate: null, lower: null, upper: null, highest: null, lowest: null },
  biased: false,
});

const parted = (rates: readonly Rate[], minRows: number) => ({
  judged: rates.filter(({ rows }) => rows >= Math.max(1, minRows)),
  tooSmall: rates.filter(({ rows }) => rows < Math.max(1, minRows)).map(({ group }) => group),
});

function extremes(rates: readonly Rate[]): [Rate?, Rate?] {
  if (rates.length < 2) return [];
  const rising = [...rates].sort((a, b) => share(a) - share(b));
  return [rising.at(-1)!, rising[0]!];
}

const share = ({ rows, hits }: Rate): number => hits / rows;
const pairs = (rates: readonly Rate[]): [Rate, Rate][] =>
  rates.flatMap((a) => rates.flatMap((b): [Rate, Rate][] => (a === b ? [] : [[a, b]])));

/** One-sided bound for each ordered pair. */
const perPair = (alpha: number, groups: number): number => -normalQuantile(alpha / (groups * (groups - 1)));

/** E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927) 209–212. */
export function wilson({ rows, hits }: { rows: number; hits: number }, z: number): { lower: number; upper: number } {
  const rate = hits / rows;
  const middle = (rate + z ** 2 / (2 * rows)) / (1 + z ** 2 / rows);
  const half = (z / (1 + z ** 2 / rows)) * Math.sqrt((rate * (1 - rate)) / rows + z ** 2 / (4 * rows ** 2));
  return { lower: Math.max(0, middle - half), upper: Math.min(1, middle + half) };
}

/**
 * Difference a − b from two Wilson intervals: R. G. Newcombe, "Interval estimation for the difference between independent
 * proportions", Statistics in Medicine 17 (1998) 873–890, method 10.
 */
export function newcombe(
  a: { rows: number; hits: number },
  b: { rows: number; hits: number },
  z: number,
): { lower: number; upper: number } {
  const [pa, pb] = [a.hits / a.rows, b.hits / b.rows];
  const [wa, wb] = [wilson(a, z), wilson(b, z)];
  return {
    lower: pa - pb - Math.hypot(pa - wa.lower, wb.upper - pb),
    upper: pa - pb + Math.hypot(wa.upper - pa, pb - wb.lower),
  };
}

/** Ratio a / b: D. Katz et al., Biometrics 34 (1978) 469–474, with half a row more for the empty cells. */
function katz(a: Rate, b: Rate, z: number): { lower: number; upper: number } {
  const [pa, pb] = [(a.hits + 0.5) / (a.rows + 0.5), (b.hits + 0.5) / (b.rows + 0.5)];
  const error = Math.sqrt(1 / (a.hits + 0.5) - 1 / (a.rows + 0.5) + 1 / (b.hits + 0.5) - 1 / (b.rows + 0.5));
  const log = Math.log(pa / pb);
  return { lower: Math.exp(log - z * error), upper: Math.exp(log + z * error) };
}

const points = (difference: number): string => `${(100 * difference).toFixed(1)} pt`;

function requireSound(groups: ReadonlyMap<string, readonly GroupCounts[]>): void {
  for (const { group, rows, selected, positives, truePositives } of [...groups.values()].flat()) {
    const isSound =
      [rows, selected, positives, truePositives].every((n) => Number.isSafeInteger(n) && n >= 0) &&
      Math.max(selected, positives) <= rows &&
      truePositives <= Math.min(selected, positives);
    if (!isSound)
      throw new StatsInputError(
        `${group}: expected whole counts with truePositives ≤ selected, positives ≤ rows, got ${truePositives}, ${selected}, ${positives}, ${rows}`,
      );
  }
}
