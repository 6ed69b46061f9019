import type { Evaluation, RowOutcome } from '../../contracts/manifests.ts';
import type { Prediction } from '../../contracts/model.ts';
import { ServingError, servingErrors } from '../../serving/errors.ts';
import { createScorer, type ScorerOptions } from '../../serving/scoring/scorer.ts';
import type { DataRow } from '../data/rows.ts';

/** Enough for a p99 that rests on a few samples; the rows are real, one at a time. */
const latencySamples = { warmup: 20, samples: 300 };
const latencyRows = 200;

export type Scored = { outcomes: RowOutcome[]; latency: Evaluation['latency'] };
export const nothingScored: Scored = { outcomes: [], latency: { p50Ms: 0, p95Ms: 0, p99Ms: 0, samples: 0 } };

/** The rows that latencies are measured with. */
export const timedRows = (rows: readonly DataRow[]) => rows.slice(0, latencyRows).map(({ features }) => features);

/**
 * Servability is to load, to answer neutral rows, and to answer these: whatever fails in it is said about the model. A
 * process that died may have been killed for memory by another's need, so that one is tried again.
 */
export async function score(
  options: ScorerOptions,
  rows: readonly DataRow[],
  onProgress: (rowsDone: number) => void,
): Promise<Scored | { problem: string }> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await scoreOnce(options, rows, onProgress);
    } catch (error) {
      if (!(error instanceof ServingError)) throw error;
      if (error.type === servingErrors.inferenceCrashed && attempt === 1) continue;
      return { problem: `${error.type}: ${error.message}` };
    }
  }
}

async function scoreOnce(
  options: ScorerOptions,
  rows: readonly DataRow[],
  onProgress: (rowsDone: number) => void,
): Promise<Scored> {
  const scorer = await createScorer(options);
  try {
    if (rows.length === 0) return nothingScored;
    const features = rows.map((row) => row.features);
    const predictions = await scorer.score(features, onProgress);
    return {
      outcomes: rows.map((row, i) => outcomeOf(row, predictions[i]!)),
      latency: await scorer.latency({ ...latencySamples, rows: timedRows(rows) }),
    };
  } finally {
    await scorer.close();
  }
}

const outcomeOf = ({ id, time, label, slices }: DataRow, { label: predicted, score }: Prediction): RowOutcome => ({
  id,
  time,
  label,
  predicted,
  score,
  slices,
});
