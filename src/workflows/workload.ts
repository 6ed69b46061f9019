import {
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  executeChild,
  ParentClosePolicy,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
} from '@temporalio/workflow';
import { taskQueues } from '../contracts/names.ts';
import { searchAttributes } from '../contracts/search-attributes.ts';
import type { WorkloadInput, WorkloadResult } from '../contracts/workload-messages.ts';
import { workloadIds } from '../contracts/workload-names.ts';
import { showAttention } from './attention.ts';
import { decodeUpdate } from './decode.ts';
import { guarded } from './guarded.ts';
import { WorkloadMachine } from './policies/workload.ts';
import { decodeResumeWorkload, resumeWorkloadUpdate, workloadStatusQuery, workloads } from './workload-messages.ts';
import { workloadWave } from './workload-wave.ts';

/**
 * A DAG of jobs, cut into waves. A round runs what has not succeeded yet; when something failed it waits for a person, whose
 * `resume` begins the next round, under a history of its own. Cancelled, it ends its jobs in good order; started again under
 * the same key, it goes on from what the store knows.
 */
export async function workload(input: WorkloadInput): Promise<WorkloadResult> {
  const machine = new WorkloadMachine(input);
  setHandler(workloadStatusQuery, () => machine.status(), {
    description: 'rounds, waves, counts, and what it waits for',
  });
  setHandler(
    resumeWorkloadUpdate,
    guarded((request) => machine.resume(decodeUpdate(decodeResumeWorkload, request))),
    {
      validator: (request) => void decodeUpdate(decodeResumeWorkload, request),
      description: 'begins the next round of a parked workload: only what failed or is missing runs again',
    },
  );
  const show = (stage: string): void => {
    upsertSearchAttributes([{ key: searchAttributes.stage, value: stage }]);
    setCurrentDetails(machine.details());
    showAttention(machine.attention);
  };

  const { workload: name, key, specDigest, onFailure } = input;
  machine.opened(await workloads.openWorkload({ workload: name, key, specDigest }));
  show('running');
  await runWaves(input, machine);

  const result = await workloads.closeWorkload({ workload: name, key, specDigest, round: input.round });
  if (result.state === 'succeeded' || onFailure === 'end') {
    machine.ends(result);
    show('done');
    await condition(allHandlersFinished);
    return result;
  }
  machine.park(result);
  show('parked');
  await condition(() => machine.next !== null);
  show('running');
  await condition(allHandlersFinished);
  return await continueAsNew<typeof workload>(machine.next!);
}

/** Each wave as soon as those that it needs have ended, a few at a time. */
async function runWaves(input: WorkloadInput, machine: WorkloadMachine): Promise<void> {
  const { workload: name, key, specDigest } = input;
  const running: Promise<void>[] = [];
  let failure: { error: unknown } | null = null;
  const run = async (n: number): Promise<void> => {
    try {
      const result = await executeChild(workloadWave, {
        workflowId: workloadIds.wave(input, n),
        taskQueue: taskQueues.control,
        parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
        args: [{ workload: name, key, specDigest, n }],
        staticSummary: `wave ${n + 1} of ${name}/${key}`,
      });
      machine.waveEnded(n, result);
      setCurrentDetails(machine.details());
    } catch (error) {
      failure ??= { error };
    }
  };
  try {
    while (!machine.wavesAreOver && failure === null) {
      for (const n of machine.takeWaves()) running.push(run(n));
      const before = machine.endedWaves;
      await condition(() => machine.endedWaves > before || failure !== null);
    }
  } finally {
    // A cancel reaches all of them; it is over when the last one has ended its jobs.
    await CancellationScope.nonCancellable(() => Promise.all(running));
  }
  if (failure !== null) throw (failure as { error: unknown }).error;
}
