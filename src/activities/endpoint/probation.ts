import type { Probation } from '../../contracts/activities.ts';
import type { Dataset } from '../../contracts/manifests.ts';
import { refNames } from '../../contracts/names.ts';
import { decideProbation } from '../../stats/probation.ts';
import { getManifest } from '../../store/manifests.ts';
import type { Store } from '../../store/types.ts';
import { newestTimeOf } from '../data/delayed-rows.ts';
import { liveAnswers } from '../data/live-answers.ts';
import { readRows } from '../data/rows.ts';

/** A version that is within its margin is rolled back at most this often, however many labels arrive. */
const alpha = 0.01;

/**
 * Labels that have arrived since probation began, against what the version answered live and what the version before
 * answered beside it as a shadow: paired, so that a hard week blames neither. It passes when the loop's accepted data
 * has moved on for long enough by its own clock (DESIGN §5). When it began, the store says: another attempt, or another
 * life of the workflow, counts from the same moment.
 */
export async function judgeProbation(
  store: Store,
  input: Probation,
): Promise<{ outcome: 'passed' | 'rollback' | 'continue'; reason: string }> {
  const now = await datasetAt(store, input.loop);
  const then = await datasetAt(store, input.loop, new Date(input.sinceMs));
  const labels = await labelsSince(store, now, then);
  const { endpoint, model, sinceMs } = input;
  const ours = await liveAnswers(store, endpoint, labels, {
    sinceMs,
    wanted: (r) => !r.shadow && !r.background && r.model === model,
  });
  const before = await liveAnswers(store, endpoint, ours, {
    sinceMs,
    wanted: (r) => r.shadow && !r.background && r.variant === 'stable',
  });
  let [gained, lost] = [0, 0];
  for (const [id, theirs] of before) {
    const truth = labels.get(id);
    const [isRight, wasRight] = [ours.get(id)!.label === truth, theirs.label === truth];
    if (isRight && !wasRight) gained += 1;
    if (!isRight && wasRight) lost += 1;
  }
  const { decision, reason } = decideProbation(
    { kind: 'paired', rows: before.size, gained, lost },
    { accuracyMargin: input.accuracyLoss, alpha },
  );
  if (decision === 'rollback') return { outcome: 'rollback', reason };
  // Rows that wait for their labels (`labelDelay`) have been seen, and are not judged yet.
  const isOver = Date.parse(newestSettled(now)) >= Date.parse(newestTimeOf(then)) + input.forMs;
  return { outcome: isOver ? 'passed' : 'continue', reason };
}

async function datasetAt(store: Store, loop: string, at?: Date): Promise<Dataset | undefined> {
  const ref = await store.refs.read(refNames.dataset(loop), at);
  return ref && (await getManifest(store, ref.digest, 'Dataset'));
}

/** No data, no time: NaN compares as not over. */
const newestSettled = (dataset: Dataset | undefined): string =>
  dataset?.segments
    .map(({ to }) => to)
    .sort()
    .at(-1) ?? '';

/** By row id. Rows that were there before are what the version was trained on. */
async function labelsSince(
  store: Store,
  now: Dataset | undefined,
  then: Dataset | undefined,
): Promise<Map<string, string>> {
  const labels = new Map<string, string>();
  const old = new Set(then?.segments.map(({ rows }) => rows));
  for (const segment of now?.segments ?? [])
    if (!old.has(segment.rows)) for await (const { id, label } of readRows(store, segment.rows)) labels.set(id, label);
  return labels;
}
