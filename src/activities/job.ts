import { CancelledFailure, Context, sleep } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { AwaitedJob, JobActivities } from '../contracts/activities.ts';
import type { Digest } from '../contracts/digest.ts';
import { failureTypes } from '../contracts/failures.ts';
import { type JobRef, type JobRunner, JobSpec, type JobStatus, type RunnerKind } from '../contracts/job.ts';
import { putFolder } from '../store/folders.ts';
import { getJson, putJson } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import { pulse } from './pulse.ts';
import { FileList } from './train.ts';

export interface JobDeps {
  store: Store;
  runners: Partial<Record<RunnerKind, JobRunner>>;
  /** Which runner a spec of this queue goes to. */
  runnerOfQueue: RunnerKind;
  pollMs: number;
}

export function createJobActivities({ store, runners, runnerOfQueue, pollMs }: JobDeps): JobActivities {
  const runnerOf = (kind: RunnerKind): JobRunner => {
    const runner = runners[kind];
    if (!runner)
      throw ApplicationFailure.nonRetryable(`this worker has no runner "${kind}"`, failureTypes.invalidInput);
    return runner;
  };
  const putFiles = async (folder: string): Promise<Digest | null> => {
    const files = await putFolder(store, folder);
    return files.length > 0 ? await putJson(store, FileList, files) : null;
  };

  return {
    async submitJob({ specDigest, name, resources, checkpoint }) {
      return await pulse(async () => {
        const spec = await getJson(store, JobSpec, specDigest);
        const files = checkpoint && (await getJson(store, FileList, checkpoint));
        return await runnerOf(runnerOfQueue).submit({ ...spec, name, resources, ...(files && { checkpoint: files }) });
      });
    },

    async awaitJob({ ref }) {
      const runner = runnerOf(ref.runner);
      const context = Context.current();
      return await pulse(async (say) => {
        try {
          while (true) {
            const status = await runner.describe(ref);
            say({ state: status.state, progress: status.progress });
            if (hasEnded(status)) return ended(status);
            await sleep(pollMs);
          }
        } catch (error) {
          // Only a real cancel, or a workflow that is closed, stops the job; after a shutdown, a time-out or a pause it
          // runs on and the next attempt finds it again.
          const why = context.cancellationDetails;
          if (error instanceof CancelledFailure && (why?.cancelRequested || why?.notFound))
            await cancelAndWait(runner, ref, pollMs);
          throw error;
        }
      });
    },

    async collectJob({ ref }) {
      return await pulse(async () => {
        const runner = runnerOf(ref.runner);
        const { modelDirectory, dataDirectory } = await runner.outputs(ref);
        const { progress } = await runner.describe(ref);
        return {
          model: await putFiles(modelDirectory),
          output: await putFiles(dataDirectory),
          metrics: progress?.metrics ?? {},
        };
      });
    },

    async cancelJob({ ref }) {
      await pulse(async () => await cancelAndWait(runnerOf(ref.runner), ref, pollMs));
    },

    async saveCheckpoint({ ref }) {
      return await pulse(async () => ({
        checkpoint: await putFiles((await runnerOf(ref.runner).outputs(ref)).checkpointDirectory),
      }));
    },
  };
}

const hasEnded = ({ state }: JobStatus): boolean =>
  state === 'succeeded' || state === 'failed' || state === 'cancelled';

function ended(status: JobStatus): AwaitedJob {
  const from = status.startedAt && status.endedAt ? Date.parse(status.endedAt) - Date.parse(status.startedAt) : 0;
  return {
    state: status.state as AwaitedJob['state'],
    failureClass: status.failureClass ?? null,
    reason: (status.reason ?? status.state).slice(0, 2_000),
    durationMs: Math.max(0, from),
  };
}

/** Waits on the clock alone: the activity that asks may itself be cancelled. */
async function cancelAndWait(runner: JobRunner, ref: JobRef, pollMs: number): Promise<void> {
  await runner.cancel(ref);
  while (!hasEnded(await runner.describe(ref))) await new Promise((resolve) => setTimeout(resolve, pollMs));
}
