import { cellCounts, cellEdges, jensenShannonDistance, populationStability } from './drift-distances.ts';
import { frequencyShift, kolmogorovSmirnov, type TwoSampleTest } from './drift-tests.ts';
import { StatsInputError } from './errors.ts';
import { holmAdjusted } from './holm.ts';

/** One thing that may drift: a feature, a part of a text, the answers, their scores. */
export type DriftSubject = { subject: string } & (
  | { kind: 'numbers'; reference: ArrayLike<number>; live: ArrayLike<number> }
  /** Each row has exactly one. */
  | { kind: 'categories'; reference: ReadonlyMap<string, number>; live: ReadonlyMap<string, number> }
  /** Rows that have each term, by place; a row may have several. */
  | {
      kind: 'terms';
      reference: { rows: number; have: readonly number[] };
      live: { rows: number; have: readonly number[] };
    }
);

export interface DriftFinding {
  subject: string;
  kind: DriftSubject['kind'];
  referenceRows: number;
  liveRows: number;
  /** Population stability index. */
  psi: number;
  /** Jensen–Shannon distance, 0 to 1. */
  jensenShannon: number;
  /** Of Kolmogorov and Smirnov for numbers, else the greatest difference of a share. */
  distance: number;
  /** Holm's adjusted p-value over all subjects of the look. */
  p: number;
  /** Beyond chance, and far enough to matter. */
  drifted: boolean;
}

export interface DriftRules {
  /** Probability of any alarm ever against one reference, however often one looks, while nothing changes. */
  alpha: number;
  /** A shift that is certain and smaller than this is no alarm. */
  psiAbove: number;
}

export interface DriftReport {
  /** Which window since the reference: 1, 2, 3 … */
  window: number;
  /** What this window may spend of alpha. */
  alpha: number;
  findings: DriftFinding[];
  /** `drift: <subject>, PSI 0.31 …`: why a cycle should start; null when none should. */
  reason: string | null;
}

/**
 * What window `k` may spend of alpha: alpha/(k·(k+1)), which sums to alpha over all windows there will ever be. By the
 * union bound nothing is asked of how windows hang together, and all share one reference.
 */
export const spentAlpha = (alpha: number, window: number): number => alpha / (window * (window + 1));

/**
 * Whether a window of rows differs from the reference. The false-alarm rate is stated for looking without end: while rows
 * of reference and windows are independent draws of one distribution, the probability that any window ever alarms is at
 * most `alpha`: exact or bounded tests, Holm over subjects, `spentAlpha` over windows. Each window may be asked about once
 * under its number; where windows end must not depend on what is in them.
 */
export function decideDrift(subjects: readonly DriftSubject[], window: number, rules: DriftRules): DriftReport {
  if (!(Number.isSafeInteger(window) && window > 0))
    throw new StatsInputError(`window: got ${window}, expected 1, 2, 3 …`);
  if (!(rules.alpha > 0 && rules.alpha < 1))
    throw new StatsInputError(`alpha: got ${rules.alpha}, expected a number between 0 and 1`);
  const alpha = spentAlpha(rules.alpha, window);
  const measured = subjects.flatMap((subject) => measure(subject) ?? []);
  const adjusted = holmAdjusted(measured.map(({ p }) => p));
  const findings = measured
    .map((finding, i) => {
      const p = adjusted[i]!;
      return { ...finding, p, drifted: p <= alpha && finding.psi > rules.psiAbove };
    })
    .sort((a, b) => Number(b.drifted) - Number(a.drifted) || b.psi - a.psi);
  return { window, alpha, findings, reason: reasonOf(findings, alpha) };
}

function reasonOf(findings: readonly DriftFinding[], alpha: number): string | null {
  const drifted = findings.filter((finding) => finding.drifted);
  const [worst] = drifted;
  if (!worst) return null;
  const others = drifted.length > 1 ? `; and ${drifted.length - 1} more` : '';
  return `drift: ${worst.subject}, PSI ${worst.psi.toFixed(2)} on ${worst.liveRows} rows against ${worst.referenceRows} (p ${short(worst.p)}, alarm at ${short(alpha)})${others}`;
}

const short = (p: number): string => (p < 1e-99 ? 'below 1e-99' : String(Number(p.toPrecision(2))));

/** Undefined where one side has no row. */
function measure(subject: DriftSubject): Omit<DriftFinding, 'drifted'> | undefined {
  const [cells, test] = subject.kind === 'numbers' ? ofNumbers(subject) : ofFrequencies(subject);
  const { kind, subject: name } = subject;
  const { referenceRows, liveRows, reference, live } = cells;
  if (referenceRows === 0 || liveRows === 0 || !reference.some((n) => n > 0) || !live.some((n) => n > 0))
    return undefined;
  return {
    subject: name,
    kind,
    referenceRows,
    liveRows,
    psi: populationStability(reference, live),
    jensenShannon: jensenShannonDistance(reference, live),
    ...test,
  };
}

interface Cells {
  referenceRows: number;
  liveRows: number;
  reference: readonly number[];
  live: readonly number[];
}

function ofNumbers({ reference, live }: Extract<DriftSubject, { kind: 'numbers' }>): [Cells, TwoSampleTest] {
  const [r, l] = [Float64Array.from(reference).sort(), Float64Array.from(live).sort()];
  const edges = cellEdges(r);
  const cells = { reference: cellCounts(edges, r), live: cellCounts(edges, l) };
  return [{ referenceRows: r.length, liveRows: l.length, ...cells }, kolmogorovSmirnov(r, l)];
}

function ofFrequencies(subject: Exclude<DriftSubject, { kind: 'numbers' }>): [Cells, TwoSampleTest] {
  const [reference, live] = subject.kind === 'terms' ? [subject.reference, subject.live] : tables(subject);
  const cells = {
    referenceRows: reference.rows,
    liveRows: live.rows,
    reference: reference.have,
    live: live.have,
  };
  return [cells, frequencyShift(reference, live)];
}

function tables({ reference, live }: Extract<DriftSubject, { kind: 'categories' }>) {
  const names = [...new Set([...reference.keys(), ...live.keys()])];
  return [reference, live].map((counts) => {
    const have = names.map((name) => counts.get(name) ?? 0);
    return { rows: have.reduce((sum, n) => sum + n, 0), have };
  }) as [{ rows: number; have: number[] }, { rows: number; have: number[] }];
}
