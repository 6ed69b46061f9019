import { CancellationScope, isCancellation, setHandler, sleep } from '@temporalio/workflow';
import type { Digest } from '../contracts/digest.ts';
import type { JobRef } from '../contracts/job.ts';
import type { JobInput, JobResult, JobWorkflowStatus } from '../contracts/messages.ts';
import { jobStatusQuery } from './messages.ts';
import { afterFailure, type FailedAttempt } from './policies/job-retry.ts';
import { attending, submitting } from './proxies.ts';

/**
 * One job on any runner: submit, await, collect; after a failure its class decides (policies/job-retry). The attempt
 * number rises only here, after a terminal state is in history, so no effect outside can be doubled by a retry.
 */
export async function job(input: JobInput): Promise<JobResult> {
  const status: JobWorkflowStatus = {
    key: input.key,
    attempt: input.firstAttempt,
    state: 'submitting',
    externalId: null,
    lastFailure: null,
  };
  setHandler(jobStatusQuery, () => status, { description: 'attempt, state, and the last failure' });

  const startedAtMs = Date.now();
  const failures: FailedAttempt[] = [];
  let resources = input.resources;
  let checkpoint: Digest | null = null;
  let gpuHours = 0;

  for (let attempt = input.firstAttempt; ; attempt += 1) {
    status.attempt = attempt;
    status.state = 'submitting';
    const name = `${input.key}/${attempt}`;
    const submit = submitting(input.queue).submitJob;
    // Once asked for, the reference must reach history: a cancel then finds the job and stops it.
    const ref: JobRef = await CancellationScope.nonCancellable(() =>
      submit.executeWithOptions({ summary: `submit ${name}` }, [
        { specDigest: input.specDigest, name, resources, checkpoint },
      ]),
    );
    status.state = 'running';
    status.externalId = ref.externalId;
    const host = attending(ref.hostQueue ?? input.queue);

    try {
      const ended = await host.awaitJob.executeWithOptions({ summary: `await ${name}` }, [{ ref }]);
      gpuHours += (resources.gpus * ended.durationMs) / 3_600_000;
      const result = { attempts: attempt - input.firstAttempt + 1, lastAttempt: attempt, gpuHours };

      if (ended.state === 'succeeded') {
        status.state = 'collecting';
        const collected = await host.collectJob({ ref });
        status.state = 'ended';
        return {
          ...result,
          ...collected,
          state: 'succeeded',
          failureClass: null,
          reason: ended.reason,
          durationMs: Date.now() - startedAtMs,
        };
      }

      // Cancelled behind our back (an operator on the runner's side) is a person's word: it parks like a user error.
      const failureClass = ended.state === 'cancelled' ? 'userError' : (ended.failureClass ?? 'infrastructure');
      failures.push({ failureClass, resources });
      status.lastFailure = `${failureClass}: ${ended.reason}`;
      const next = afterFailure(failures, input.maxResources);
      if (next.kind === 'giveUp') {
        status.state = 'ended';
        return {
          ...result,
          state: 'failed',
          failureClass,
          reason: ended.reason,
          model: null,
          output: null,
          metrics: {},
          durationMs: Date.now() - startedAtMs,
        };
      }
      status.state = 'waiting';
      checkpoint = (await host.saveCheckpoint({ ref })).checkpoint ?? checkpoint;
      resources = next.resources;
      if (next.delayMs > 0) await sleep(next.delayMs, { summary: `after ${failureClass}` });
    } catch (error) {
      if (isCancellation(error)) await CancellationScope.nonCancellable(() => host.cancelJob({ ref }));
      throw error;
    }
  }
}
