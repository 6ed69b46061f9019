import type { RowOutcome } from '../../src/contracts/manifests.ts';
import { betaQuantile } from '../../src/stats/distributions.ts';
import type { Random } from '../../src/stats/random.ts';

/** Random variables and rows for simulations; all from a seeded generator. */
export function normalSample(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.uniform())) * Math.cos(2 * Math.PI * random.uniform());
}

export const betaSample = (random: Random, a: number, b: number): number => betaQuantile(random.uniform(), a, b);

/** By geometric gaps between hits, so the cost is that of the hits. */
export function binomialSample(random: Random, n: number, p: number): number {
  if (p <= 0) return 0;
  if (p > 0.5) return n - binomialSample(random, n, 1 - p);
  let hits = 0;
  for (let at = gap(random, p); at <= n; at += gap(random, p)) hits++;
  return hits;
}

const gap = (random: Random, p: number) => Math.floor(Math.log(1 - random.uniform()) / Math.log1p(-p)) + 1;

/** How often each of two models is right where the other is wrong. */
export interface PairedTruth {
  gained: number;
  lost: number;
  bothRight: number;
}

/** Rows of two spam filters on the same mails, with scores that go with their answers. */
export function pairedOutcomes(
  random: Random,
  rows: number,
  truth: PairedTruth,
  slicesOf: (row: number) => string[] = () => [],
): { candidate: RowOutcome[]; champion: RowOutcome[] } {
  const candidate: RowOutcome[] = [];
  const champion: RowOutcome[] = [];
  for (let i = 0; i < rows; i++) {
    const spam = random.uniform() < 0.3;
    const u = random.uniform();
    const onlyCandidate = u >= truth.bothRight && u < truth.bothRight + truth.gained;
    const onlyChampion = !onlyCandidate && u >= truth.bothRight && u < truth.bothRight + truth.gained + truth.lost;
    const both = u < truth.bothRight;
    const outcome = (isRight: boolean): RowOutcome => {
      const flagged = isRight === spam;
      return {
        id: `mail-${String(i).padStart(6, '0')}`,
        time: '2002-08-01T00:00:00.000Z',
        label: spam ? 'spam' : 'ham',
        predicted: flagged ? 'spam' : 'ham',
        score: flagged ? 0.5 + random.uniform() / 2 : random.uniform() / 2,
        slices: slicesOf(i),
      };
    };
    candidate.push(outcome(both || onlyCandidate));
    champion.push(outcome(both || onlyChampion));
  }
  return { candidate, champion };
}

/** One model that is right with this probability. */
export function outcomesOf(
  random: Random,
  rows: number,
  accuracy: number,
  slicesOf?: (row: number) => string[],
): RowOutcome[] {
  return pairedOutcomes(random, rows, { gained: 0, lost: 0, bothRight: accuracy }, slicesOf).candidate;
}

export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const copy = [...items];
  for (let i = copy.length - 1; i > 0; i--) {
    const j = Math.floor(random.uniform() * (i + 1));
    [copy[i], copy[j]] = [copy[j]!, copy[i]!];
  }
  return copy;
}
