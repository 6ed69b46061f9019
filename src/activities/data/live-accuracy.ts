import type { DatasetSegment } from '../../contracts/manifests.ts';
import { binomialCurve } from '../../stats/confidence.ts';
import type { LabelComparison } from '../../stats/data-checks.ts';
import type { Store } from '../../store/types.ts';
import { liveAnswers } from './live-answers.ts';
import { type DataRow, readRows } from './rows.ts';

/** Fewer labelled live answers than this say nothing about live accuracy. */
const fewestLiveRows = 50;

/**
 * Why live accuracy starts a cycle: it lies below the limit, and not by chance alone. Null when it does not.
 *
 * @param labels of rows that are new, by id
 */
export async function lowLiveAccuracy(
  store: Store,
  endpoint: string,
  limit: number,
  labels: ReadonlyMap<string, string>,
): Promise<string | null> {
  const answers = await liveAnswers(store, endpoint, labels);
  if (answers.size < fewestLiveRows) return null;
  const correct = [...answers].filter(([id, answer]) => labels.get(id) === answer.label).length;
  // A trigger is a request, not a verdict, but chance alone should not pull it.
  if (binomialCurve(correct, answers.size).upper(0.05) >= limit) return null;
  return `live accuracy ${((100 * correct) / answers.size).toFixed(1)} % on ${answers.size} labelled answers, below ${(100 * limit).toFixed(1)} %`;
}

/** New labels against what the endpoint answered to the same rows, overall and by slice. */
export async function compareLabels(
  store: Store,
  endpoint: string,
  segment: DatasetSegment,
): Promise<LabelComparison[]> {
  const rows = new Map<string, DataRow>();
  for await (const row of readRows(store, segment.rows)) rows.set(row.id, row);
  const counts = new Map<string, LabelComparison>();
  for (const [id, answer] of await liveAnswers(store, endpoint, rows)) {
    const row = rows.get(id)!;
    for (const slice of ['overall', ...row.slices]) {
      const count = counts.get(slice) ?? { slice, rows: 0, differ: 0 };
      counts.set(slice, { slice, rows: count.rows + 1, differ: count.differ + (answer.label === row.label ? 0 : 1) });
    }
  }
  return [...counts.values()];
}
