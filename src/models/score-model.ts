import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { DataRow } from '../activities/data/rows.ts';
import type { Model, RowOutcome } from '../contracts/manifests.ts';
import { ServingError } from '../serving/errors.ts';
import { createScorer } from '../serving/scoring/scorer.ts';
import { materialise } from '../store/folders.ts';
import type { Store } from '../store/types.ts';

export interface Scoring {
  store: Pick<Store, 'blobs'>;
  /** Absolute; a model's files lie below it while it is scored. */
  scratch: string;
  signal: AbortSignal;
}

/** A model's answers to rows, in a process of its own; or why it gives none. No latencies: those are the gate's. */
export async function scoreModel(
  { store, scratch, signal }: Scoring,
  model: Pick<Model, 'files'>,
  rows: readonly DataRow[],
): Promise<RowOutcome[] | { problem: string }> {
  const folder = await mkdtemp(join(scratch, 'model-'));
  try {
    await materialise(store, model.files, folder);
    const scorer = await createScorer({ modelFolder: folder, signal });
    try {
      const predictions = await scorer.score(rows.map(({ features }) => features));
      return rows.map(({ id, time, label, slices }, i) => {
        const { label: predicted, score } = predictions[i]!;
        return { id, time, label, predicted, score, slices };
      });
    } finally {
      await scorer.close();
    }
  } catch (error) {
    if (!(error instanceof ServingError)) throw error;
    return { problem: `${error.type}: ${error.message}` };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
