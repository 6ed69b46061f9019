import { setHandler, sleep } from '@temporalio/workflow';
import type { Digest } from '../contracts/digest.ts';
import type { JobInput, JobResult, JobWorkflowStatus } from '../contracts/messages.ts';
import { attend, submit } from './job/attempt.ts';
import { jobStatusQuery } from './messages.ts';
import { ArrayRetries } from './policies/array-retries.ts';
import { afterFailure, type FailedAttempt, nextPartition, sameResources } from './policies/job-retry.ts';
import { placing } from './proxies.ts';

/**
 * One job on any runner: place, submit, await, collect; after a failure its class decides (policies/job-retry). The attempt
 * number rises only here, after a terminal state is in history, so no effect outside can be doubled by a retry.
 */
export async function job(input: JobInput): Promise<JobResult> {
  const { key, specDigest, queue, firstAttempt, partitions } = input;
  const status: JobWorkflowStatus = {
    ...{ key, attempt: firstAttempt, state: 'submitting' },
    ...{ externalId: null, lastFailure: null },
  };
  setHandler(jobStatusQuery, () => status, { description: 'attempt, state, and the last failure' });

  const startedAtMs = Date.now();
  const failures: FailedAttempt[] = [];
  let { resources } = input;
  let checkpoint: Digest | null = null;
  let gpuHours = 0;
  let partition = 0;
  const tasks = input.array ? new ArrayRetries(input.maxResources, input.retries, input.tasksBefore) : null;

  for (let attempt = firstAttempt; ; attempt += 1) {
    Object.assign(status, { attempt, state: 'submitting' });
    const name = `${key}/${attempt}`;
    const placement = await placing(queue).placeJob.executeWithOptions({ summary: `place ${name}` }, [
      {
        ...{ name, specDigest, resources, checkpoint },
        ...(partitions && { partition: partitions[partition]! }),
        ...(tasks?.left && { tasks: tasks.left }),
      },
    ]);
    const submitted = await submit(queue, name, placement);
    if (submitted.kind === 'taken') continue;
    if (submitted.kind === 'running') Object.assign(status, { state: 'running', externalId: submitted.ref.externalId });
    const ended =
      submitted.kind === 'ended'
        ? submitted.how
        : await attend(
            submitted,
            () => {
              status.state = 'collecting';
            },
            tasks ? tasks.manifest : undefined,
          );

    const { failureClass, reason, results } = ended;
    gpuHours += (placement.resources.gpus * ended.durationMs) / 3_600_000;
    const result = {
      ...{ attempts: attempt - firstAttempt + 1, lastAttempt: attempt, gpuHours },
      ...{ reason, durationMs: Date.now() - startedAtMs },
    };
    if (failureClass === null) {
      if (!ended.array) {
        status.state = 'ended';
        return { ...result, ...results!, state: 'succeeded', failureClass };
      }
    }
    tasks?.learn(ended.array);
    if (tasks?.isDone) {
      status.state = 'ended';
      return { ...result, ...tasks.results(), state: 'succeeded', failureClass: null };
    }

    status.lastFailure = `${failureClass}: ${reason}`;
    // An earlier life of the cycle made this attempt with other resources: it says nothing of those that are asked for now.
    if (!sameResources(placement.resources, resources)) continue;
    const why = failureClass ?? 'infrastructure';
    failures.push({ failureClass: why, resources });
    const before = partition;
    if (partitions) partition = nextPartition(partitions, partition, why);
    const next =
      tasks && ended.array ? tasks.next(resources) : afterFailure(failures, input.maxResources, input.retries ?? {});
    if (next.kind === 'giveUp') {
      status.state = 'ended';
      const nothing = { model: null, output: null, metrics: {} };
      if (!tasks || !ended.array) return { ...result, ...nothing, state: 'failed', failureClass: why };
      const told = tasks.whatFailed();
      return { ...result, ...tasks.results(), ...told, reason: `${told.reason}; ${reason}`, state: 'failed' };
    }
    // Another partition is there at once; the same one needs time.
    if (partition !== before) next.delayMs = 0;
    status.state = 'waiting';
    checkpoint = (await ended.saveCheckpoint()) ?? checkpoint;
    resources = next.resources;
    if (next.delayMs > 0) await sleep(next.delayMs, { summary: `after ${failureClass}` });
  }
}
