import { isCancellation } from '@temporalio/workflow';
import type { SnapshotResult } from '../../contracts/activities.ts';
import { heavy } from '../proxies.ts';
import { rootCause } from '../root-cause.ts';
import { type CycleRun, enter, park } from './run.ts';

/** Step 3: rows since the last snapshot, checked before anything is trained on them. Null: there is nothing to train on. */
export async function takeSnapshot(run: CycleRun): Promise<SnapshotResult | null> {
  const { cycle, plan, known } = run;
  enter(cycle, 'data', 'the data program');
  let data = await heavy.snapshotData.executeWithOptions({ summary: 'rows since the last snapshot' }, [{ plan }]);
  if (data.trainRows === 0) return null;
  // Also without new rows: a cursor that moved, rows that did not fit, another hold-out share.
  if (data.dataset !== plan.dataset?.digest) {
    const checked = await checkedByWhom(run, data);
    data = checked.data;
    await heavy.acceptData({ plan, dataset: data.dataset, by: checked.by, reason: checked.reason });
    if (data.trainRows === 0) return null;
  }
  cycle.learn('data', `${data.rowCount} rows, ${data.newRows} new, ${data.holdoutRows} held out`);
  Object.assign(known, { dataset: data.dataset, rowCount: data.rowCount, newRows: data.newRows });
  return data;
}

/** Data that a check holds back waits for a person, who takes it as it is or without a part of it. */
async function checkedByWhom(
  run: CycleRun,
  data: SnapshotResult,
): Promise<{ data: SnapshotResult; by: string; reason: string }> {
  const { cycle, plan } = run;
  const { dataset } = data;
  const { problems } = await heavy.checkData.executeWithOptions(
    { summary: 'sizes, classes, disagreement with live answers' },
    [{ plan, dataset }],
  );
  if (problems.length === 0) return { data, by: 'goto3', reason: 'the data checks passed' };
  let problem = problems.map((p) => p.message).join('; ');
  cycle.learn('held back', problem);
  while (true) {
    const word = await park(run, { kind: 'data', dataset }, problem, [
      `goto3 cycle accept-data ${plan.loop}/${plan.n} --reason "..."`,
      `goto3 cycle drop-data ${plan.loop}/${plan.n} --reason "..."`,
    ]);
    enter(cycle, 'data', 'the snapshot');
    const who = { by: word.by, reason: word.reason };
    if (word.kind !== 'dropData') return { data, ...who };
    try {
      return { data: await heavy.dropData({ plan, dataset, slice: word.slice ?? null }), ...who };
    } catch (error) {
      if (isCancellation(error)) throw error;
      // A slice that is not there is a slip of the tongue, and no reason to throw the cycle away.
      problem = `${rootCause(error)}; held back: ${problems.map((p) => p.message).join('; ')}`;
    }
  }
}
