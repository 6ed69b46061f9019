import {
  CancellationScope,
  condition,
  executeChild,
  isCancellation,
  ParentClosePolicy,
  setHandler,
} from '@temporalio/workflow';
import { taskQueues, workflowIds } from '../contracts/names.ts';
import type { PreparedJob, WaveInput, WaveResult } from '../contracts/workload-messages.ts';
import { job } from './job.ts';
import { WaveBoard } from './policies/workload-wave.ts';
import { rootCause } from './root-cause.ts';
import { waveStatusQuery, workloads } from './workload-messages.ts';

/**
 * At most 200 jobs of a workload, each started as soon as what it needs has ended. Ends are recorded and starts prepared by
 * one activity, so a job costs about 15 events and a wave stays below 4,096.
 */
export async function workloadWave(input: WaveInput): Promise<WaveResult> {
  const { jobs } = await workloads.loadWave(input);
  const board = new WaveBoard(jobs);
  setHandler(waveStatusQuery, () => board.status(), { description: 'running jobs, and how many wait and have ended' });

  const children: Promise<void>[] = [];
  const run = (prepared: PreparedJob): void => {
    board.started(prepared.job);
    const { job: name, key, ...rest } = prepared;
    const child = executeChild(job, {
      workflowId: workflowIds.job(key),
      taskQueue: taskQueues.control,
      parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
      args: [{ key, ...rest }],
      staticSummary: `${name} of ${input.workload}/${input.key}`,
    }).then(
      (result) => board.end(prepared, result),
      (error: unknown) => {
        if (!isCancellation(error)) board.lose(prepared, rootCause(error));
        // Of the whole wave: `cancel` below tells it.
        else if (!CancellationScope.current().consideredCancelled) board.cancelled(prepared);
      },
    );
    children.push(child);
  };

  try {
    for (;;) {
      const [ended, start] = [board.takeEnded(), board.takeReady()];
      if (ended.length > 0 || start.length > 0) {
        const summary = { summary: `${ended.length} ended, ${start.length} to start` };
        const { prepared } = await workloads.advanceWave.executeWithOptions(summary, [{ ...input, ended, start }]);
        for (const one of prepared) run(one);
      } else if (board.isOver) return board.result();
      else await condition(() => board.hasNews);
    }
  } catch (error) {
    if (!isCancellation(error)) throw error;
    await CancellationScope.nonCancellable(async () => {
      // Over when the last job is gone, and not before.
      await Promise.all(children);
      await workloads.advanceWave({ ...input, ended: board.cancel(), start: [] });
    });
    throw error;
  }
}
