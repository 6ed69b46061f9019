import type { RowOutcome } from '../contracts/manifests.ts';
import type { ModelSignature } from '../contracts/model.ts';
import { StatsInputError } from './errors.ts';

export type Task = ModelSignature['task'];

/** What the rows mean: the task, and for classes which one is positive. */
export interface RowMeaning {
  task: Task;
  /** Class of the false-positive rate, recall and AUC; without it these are not defined. */
  positive?: string;
}

/** Outcomes as columns, in the order of their ids, so that no result depends on the order in which rows arrived. */
export interface ScoredRows extends RowMeaning {
  readonly rows: number;
  readonly outcomes: readonly RowOutcome[];
  /** 1 where the predicted label is the label. */
  readonly correct: Uint8Array;
  /** 1 where the label is the positive class. */
  readonly actual: Uint8Array;
  /** 1 where the predicted label is the positive class. */
  readonly flagged: Uint8Array;
  readonly score: Float64Array;
  /** The label as a number; regression only. */
  readonly target: Float64Array;
}

/** Throws `StatsInputError` for an id that comes twice: such rows would count double. */
export function scoredRows(outcomes: readonly RowOutcome[], meaning: RowMeaning): ScoredRows {
  const sorted = [...outcomes].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
  for (let i = 1; i < sorted.length; i++)
    if (sorted[i]!.id === sorted[i - 1]!.id)
      throw new StatsInputError(`outcomes: row ${JSON.stringify(sorted[i]!.id)} comes twice, expected distinct ids`);
  return fromSorted(sorted, meaning);
}

/** The rows for which `keep` says yes, in the same order. */
export function selectRows(scored: ScoredRows, keep: (outcome: RowOutcome, row: number) => boolean): ScoredRows {
  return fromSorted(scored.outcomes.filter(keep), scored);
}

function fromSorted(outcomes: readonly RowOutcome[], { task, positive }: RowMeaning): ScoredRows {
  const flags = (of: (o: RowOutcome) => boolean) => Uint8Array.from(outcomes, (o) => (of(o) ? 1 : 0));
  return {
    task,
    ...(positive === undefined ? {} : { positive }),
    rows: outcomes.length,
    outcomes,
    correct: flags((o) => o.predicted === o.label),
    actual: flags((o) => o.label === positive),
    flagged: flags((o) => o.predicted === positive),
    score: Float64Array.from(outcomes, (o) => o.score),
    target: Float64Array.from(outcomes, (o) =>
      task === 'regression' && o.label.trim() !== '' ? Number(o.label) : Number.NaN,
    ),
  };
}

/**
 * Both models must have answered the same questions. Throws `StatsInputError` naming the first row that only one has, or
 * whose label differs: a comparison of different rows is corrupt input, not a close call.
 */
export function requireSameRows(candidate: ScoredRows, other: ScoredRows, otherName: string): void {
  const n = Math.max(candidate.rows, other.rows);
  for (let i = 0; i < n; i++) {
    const a = candidate.outcomes[i];
    const b = other.outcomes[i];
    if (!a || !b || a.id !== b.id) {
      const [id, lacking] = a && (!b || a.id < b.id) ? [a.id, `the ${otherName}'s`] : [b?.id ?? '', "the candidate's"];
      throw new StatsInputError(`outcomes: row ${JSON.stringify(id)} is missing from ${lacking} outcomes`);
    }
    if (a.label !== b.label)
      throw new StatsInputError(
        `outcomes: row ${JSON.stringify(a.id)} has label ${JSON.stringify(a.label)} for the candidate and ${JSON.stringify(b.label)} for the ${otherName}`,
      );
  }
}

/** Rows whose score is not a finite number: the sign of a model that has diverged. */
export function unscoredRows(scored: ScoredRows): number {
  return scored.score.reduce((count, s) => count + (Number.isFinite(s) ? 0 : 1), 0);
}
