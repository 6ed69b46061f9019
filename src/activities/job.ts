import { CancelledFailure, Context, log } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { AwaitedJob, JobActivities } from '../contracts/activities.ts';
import type { Digest } from '../contracts/digest.ts';
import { failureTypes } from '../contracts/failures.ts';
import { type JobRef, type JobRunner, JobSpec, type JobStatus, type RunnerKind } from '../contracts/job.ts';
import { putFolder } from '../store/folders.ts';
import { getJson, putJson } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import { placeJob } from './job-placement.ts';
import { pause } from './pause.ts';
import { pulse } from './pulse.ts';
import { FileList } from './train.ts';
import { collectArray } from './workload/array.ts';

export interface JobDeps {
  store: Store;
  runners: Partial<Record<RunnerKind, JobRunner>>;
  /** Which runner a spec of this queue goes to. */
  runnerOfQueue: RunnerKind;
  /** This machine's own queue, where jobs live on the machine that they were submitted on. */
  hostQueue?: string;
  pollMs: number;
  /** A job that the runner knows nothing about for so long is `lost`. */
  lostAfterMs: number;
  /** Whether the workflow that this activity belongs to is still open. */
  isOpen: (workflow: { workflowId: string; runId: string }) => Promise<boolean>;
  /** Aborted when the worker is asked to leave: watchers end at once, jobs run on. */
  leaving?: AbortSignal;
}

export function createJobActivities(deps: JobDeps): JobActivities {
  const { store, runners, runnerOfQueue, hostQueue, pollMs, lostAfterMs, leaving } = deps;
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
    async placeJob(input) {
      return await pulse(async () => await placeJob(store, hostQueue ?? null, input));
    },

    async submitJob({ spec }) {
      return await pulse(async () => await runnerOf(runnerOfQueue).submit(await getJson(store, JobSpec, spec)));
    },

    async withdrawJob({ spec: digest }) {
      await pulse(async () => {
        const spec = await getJson(store, JobSpec, digest);
        const runner = runnerOf(runnerOfQueue);
        const ref = runner.withdraw ? await runner.withdraw(spec.name, spec.runsOn) : await runner.submit(spec);
        if (ref) await cancelAndWait(runner, ref, pollMs);
      });
    },

    async awaitJob({ ref }) {
      const runner = runnerOf(ref.runner);
      return await pulse(async (say) => {
        let knownAtMs = Date.now();
        try {
          while (true) {
            const status = await runner.describe(ref);
            const { state, progress, stage, billableSeconds, tasks } = status;
            say({ state, progress, stage, billableSeconds, tasks });
            if (hasEnded(status)) return ended(status);
            if (status.state !== 'unknown') knownAtMs = Date.now();
            else if (Date.now() - knownAtMs >= lostAfterMs) return lost(status);
            await pause(pollMs, leaving);
          }
        } catch (error) {
          if (error instanceof CancelledFailure && (await isOver(deps))) await cancelAndWait(runner, ref, pollMs);
          throw error;
        }
      });
    },

    async collectJob({ ref }) {
      return await pulse(async () => {
        const runner = runnerOf(ref.runner);
        const { modelDirectory, dataDirectory } = await runner.outputs(ref);
        const { progress } = await runner.describe(ref);
        const output = await putFiles(dataDirectory);
        return {
          model: await putFiles(modelDirectory),
          output,
          metrics: progress?.metrics ?? {},
          ...(output && { lastLines: await lastLines(runner, ref) }),
        };
      });
    },

    async collectArray({ ref, before }) {
      return await pulse(async () => await collectArray(store, runnerOf(ref.runner), ref, before));
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

/**
 * Only a real cancel, or a workflow that is closed, stops the job; after a shutdown, a time-out or a pause it runs on and
 * the next attempt finds it again. "Not found" is what the server tells an attempt of a closed workflow, and one that came
 * back after its time too: then the next attempt is watching the same job already.
 */
async function isOver({ isOpen }: JobDeps): Promise<boolean> {
  const { cancellationDetails: why, info } = Context.current();
  if (why?.cancelRequested) return true;
  if (!why?.notFound || !info.workflowExecution) return false;
  return await isOpen(info.workflowExecution).then(
    (open) => !open,
    (error: unknown) => {
      // A job too many is bounded by its time limit; one that was stopped by mistake is lost work.
      log.warn('nobody knows whether the job is still wanted, so it runs on', { problem: String(error) });
      return false;
    },
  );
}

const shownCharacters = 1_000;

/** The end of what a job printed: what it left may be wrong, and its own words say why. */
async function lastLines(runner: JobRunner, ref: JobRef): Promise<string> {
  let tail = '';
  for (let cursor: string | undefined; ; ) {
    const page = await runner.logs(ref, cursor);
    tail = `${tail}${page.lines.map((line) => `${line}\n`).join('')}`.slice(-shownCharacters);
    if (page.complete || page.cursor === cursor) return tail.trim();
    cursor = page.cursor;
  }
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

/** It may still run somewhere, so it is told to a person and never started again by itself. */
const lost = ({ reason, startedAt }: JobStatus): AwaitedJob => ({
  state: 'failed',
  failureClass: 'lost',
  reason: `nothing is known about the job any more: ${reason ?? 'the runner does not say why'}`.slice(0, 2_000),
  durationMs: startedAt ? Math.max(0, Date.now() - Date.parse(startedAt)) : 0,
});

/** Waits on the clock alone: the activity that asks may itself be cancelled. */
async function cancelAndWait(runner: JobRunner, ref: JobRef, pollMs: number): Promise<void> {
  await runner.cancel(ref);
  while (!hasEnded(await runner.describe(ref))) await new Promise((resolve) => setTimeout(resolve, pollMs));
}
