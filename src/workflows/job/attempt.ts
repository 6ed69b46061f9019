import { ActivityFailure, CancelledFailure, TimeoutFailure } from '@temporalio/common';
import { CancellationScope, isCancellation, log } from '@temporalio/workflow';
import type { AwaitedJob, CollectedArray, JobActivities, JobPlacement } from '../../contracts/activities.ts';
import type { Digest } from '../../contracts/digest.ts';
import { type FailureClass, failureTypes } from '../../contracts/failures.ts';
import type { JobRef } from '../../contracts/job.ts';
import { hasFailureType } from '../failure-type.ts';
import { attending, submitting, withdrawing } from '../proxies.ts';
import { rootCause } from '../root-cause.ts';

type Host = ReturnType<typeof attending>;

/** How an attempt ended. Only one that succeeded has results; only one whose host is there can be asked for a checkpoint. */
export interface Ended {
  failureClass: FailureClass | null;
  reason: string;
  durationMs: number;
  results: Awaited<ReturnType<JobActivities['collectJob']>> | null;
  /** Of an array. */
  array?: CollectedArray;
  saveCheckpoint: () => Promise<Digest | null>;
}

export type Submitted =
  | { kind: 'running'; ref: JobRef; host: Host }
  | { kind: 'taken' }
  | { kind: 'ended'; how: Ended };

/** Starts an attempt where it was placed; `taken`: its name is that of an attempt at something else, which is gone now. */
export async function submit(queue: string, name: string, placement: JobPlacement): Promise<Submitted> {
  const { spec } = placement;
  const where = placement.queue ?? queue;
  const withdraw = async (): Promise<void> => {
    const summary = { summary: `withdraw ${name}` };
    await CancellationScope.nonCancellable(() =>
      withdrawing(where).withdrawJob.executeWithOptions(summary, [{ spec }]),
    ).catch((error: unknown) => {
      log.warn('nobody knows whether the job was started', { job: name, problem: rootCause(error) });
    });
  };
  if (placement.isForeign) {
    await withdraw();
    return { kind: 'taken' };
  }
  try {
    const ref = await submitting(where).submitJob.executeWithOptions({ summary: `submit ${name}` }, [{ spec }]);
    return { kind: 'running', ref, host: attending(ref.hostQueue ?? where) };
  } catch (error) {
    if (isCancellation(error)) {
      // A submit may have lost its reply, or still be on its way: what it has made, or is about to, must not run.
      await withdraw();
      throw error;
    }
    if (hasFailureType(error, failureTypes.jobConflict)) {
      await withdraw();
      return { kind: 'taken' };
    }
    return { kind: 'ended', how: whatFailed(error, 'userError') };
  }
}

/**
 * Awaits and collects; a cancel stops the job and returns when it is gone.
 * @param before how an array's tasks stood after the attempt before; undefined: it is no array
 */
export async function attend(
  { ref, host }: Extract<Submitted, { kind: 'running' }>,
  collecting: () => void,
  before?: Digest | null,
): Promise<Ended> {
  try {
    const awaited = await host.awaitJob.executeWithOptions({ summary: `await ${ref.name}` }, [{ ref }]);
    collecting();
    if (before !== undefined) {
      // Also of one that failed: tasks that are done stay done.
      const array = await host.collectArray({ ref, before });
      return { ...whatEnded(awaited), results: null, array, saveCheckpoint: async () => await checkpointOf(host, ref) };
    }
    const results = awaited.state === 'succeeded' ? await host.collectJob({ ref }) : null;
    return { ...whatEnded(awaited), results, saveCheckpoint: async () => await checkpointOf(host, ref) };
  } catch (error) {
    // A watcher whose worker is gone when the cancel comes answers with a timeout instead: the job runs on all the same.
    const cancelled = CancellationScope.current().consideredCancelled;
    if (isCancellation(error) || cancelled) {
      await CancellationScope.nonCancellable(() => host.cancelJob({ ref }));
      throw isCancellation(error) ? error : new CancelledFailure(`${ref.name} was cancelled`);
    }
    return whatFailed(error, 'lost');
  }
}

function whatEnded({
  state,
  failureClass,
  reason,
  durationMs,
}: AwaitedJob): Omit<Ended, 'results' | 'array' | 'saveCheckpoint'> {
  if (state === 'succeeded') return { failureClass: null, reason, durationMs };
  // Cancelled behind our back (an operator on the runner's side) is a person's word: it parks like a user error.
  return { failureClass: state === 'cancelled' ? 'userError' : (failureClass ?? 'infrastructure'), reason, durationMs };
}

/** An activity that gave up. Its host has been away for too long, or a person has to look. */
function whatFailed(error: unknown, otherwise: FailureClass): Ended {
  if (!(error instanceof ActivityFailure)) throw error;
  const hostIsLost = error.cause instanceof TimeoutFailure && error.cause.timeoutType === 'SCHEDULE_TO_START';
  return {
    failureClass: hostIsLost ? 'infrastructure' : otherwise,
    reason: hostIsLost ? 'its host has been away for too long' : rootCause(error),
    durationMs: 0,
    results: null,
    saveCheckpoint: async () => null,
  };
}

async function checkpointOf(host: Host, ref: JobRef): Promise<Digest | null> {
  try {
    return (await host.saveCheckpoint({ ref })).checkpoint;
  } catch (error) {
    if (isCancellation(error)) throw error;
    log.warn('it begins again without its checkpoint', { job: ref.name, problem: rootCause(error) });
    return null;
  }
}
