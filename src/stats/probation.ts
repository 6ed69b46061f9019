import { StatsInputError } from './errors.ts';
import { tidy } from './metrics.ts';
import { bettingEvidence, type Tally } from './sequential.ts';

/** Labelled rows of live traffic, as far as their labels have arrived; cumulative since the deployment. */
export type ProbationEvidence =
  | {
      kind: 'paired';
      /** Rows that both versions answered: the old one as a shadow. */
      rows: number;
      /** Only the new version was right. */
      gained: number;
      /** Only the old version was right. */
      lost: number;
    }
  | {
      kind: 'reference';
      rows: number;
      correct: number;
      /** Accuracy that the new version is held to, such as the old one's over its own last weeks. */
      reference: number;
    };

export interface ProbationRules {
  /** Accuracy that the new version may lose, ≥ 0: `rollbackOn: { accuracy: -3pt }` is 0.03. */
  accuracyMargin: number;
  /** Probability that a version within the margin is ever rolled back, however often one looks. */
  alpha: number;
}

export interface ProbationDecision {
  decision: 'continue' | 'rollback';
  /** For people. */
  reason: string;
  rows: number;
  /** Live accuracy of the new version − what it is held against; null without rows. */
  estimate: number | null;
  /** The difference is at most this, at all times at once. */
  upper: number | null;
  /** Evidence that more than the margin is lost, as odds, and what rolls back. */
  e: number;
  needed: number;
}

/**
 * Whether live accuracy has fallen by more than the margin, asked after every label if one likes. Paired rows cancel
 * what is hard about this week's data; a reference level does not: under drift it blames the model. Bets on bounded
 * means (`bettingEvidence`), so neither a rising nor a falling difficulty of the rows breaks the guarantee.
 */
export function decideProbation(
  evidence: ProbationEvidence,
  { accuracyMargin, alpha }: ProbationRules,
): ProbationDecision {
  requireSound(evidence, accuracyMargin, alpha);
  const { rows } = evidence;
  const needed = 1 / alpha;
  const logE = evidenceOfLoss(evidence, accuracyMargin);
  const difference =
    evidence.kind === 'paired'
      ? (evidence.gained - evidence.lost) / rows
      : evidence.correct / rows - evidence.reference;
  const estimate = rows > 0 ? tidy(difference) : null;
  const e = tidy(Math.exp(Math.min(logE, Math.log(1e12))));
  const rollback = logE >= Math.log(needed);
  const against =
    evidence.kind === 'paired'
      ? 'the version before, on the same rows'
      : `the reference of ${(100 * evidence.reference).toFixed(2)} %`;
  const facts =
    estimate === null
      ? 'No label has arrived yet.'
      : `Live accuracy differs by ${points(estimate)} from ${against} (${rows} labelled rows, ${points(accuracyMargin)} may be lost); evidence of loss ${Number(e.toPrecision(2))} of ${Number(needed.toPrecision(3))} needed.`;
  return {
    decision: rollback ? 'rollback' : 'continue',
    reason: facts,
    rows,
    estimate,
    upper: rows > 0 ? tidy(upperBound(evidence, needed)) : null,
    e,
    needed,
  };
}

/** ln e against "at most `loss` is lost". */
function evidenceOfLoss(evidence: ProbationEvidence, loss: number): number {
  if (evidence.kind === 'reference') {
    const wrong: Tally[] = [
      { value: 1, count: evidence.rows - evidence.correct },
      { value: 0, count: evidence.correct },
    ];
    return bettingEvidence(wrong, 1 - evidence.reference + loss, 0);
  }
  const { rows, gained, lost } = evidence;
  const losses: Tally[] = [
    { value: 1, count: lost },
    { value: 0, count: rows - gained - lost },
    { value: -1, count: gained },
  ];
  return bettingEvidence(losses, loss, -1);
}

/** The least loss that the evidence does not exclude, as a difference. */
function upperBound(evidence: ProbationEvidence, needed: number): number {
  let low = -1;
  let high = 1;
  for (let i = 0; i < 40; i++) {
    const middle = (low + high) / 2;
    if (evidenceOfLoss(evidence, middle) >= Math.log(needed)) low = middle;
    else high = middle;
  }
  return 0 - low;
}

const points = (x: number): string => `${(100 * x).toFixed(2)} pt`;

function requireSound(evidence: ProbationEvidence, accuracyMargin: number, alpha: number): void {
  const counts =
    evidence.kind === 'paired' ? [evidence.gained, evidence.lost, evidence.gained + evidence.lost] : [evidence.correct];
  if (![evidence.rows, ...counts].every((n) => Number.isSafeInteger(n) && n >= 0 && n <= evidence.rows))
    throw new StatsInputError(`evidence: expected whole counts within ${evidence.rows} rows, got ${counts.join(', ')}`);
  if (evidence.kind === 'reference' && !(evidence.reference >= 0 && evidence.reference <= 1))
    throw new StatsInputError(`reference: got ${evidence.reference}, expected an accuracy between 0 and 1`);
  if (!(accuracyMargin >= 0 && accuracyMargin <= 1))
    throw new StatsInputError(`accuracyMargin: got ${accuracyMargin}, expected a loss between 0 and 1`);
  if (!(alpha > 0 && alpha < 1)) throw new StatsInputError(`alpha: got ${alpha}, expected a number between 0 and 1`);
}
