import assert from 'node:assert/strict';
import { WorkflowFailedError } from '@temporalio/client';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { taskQueues, workflowIds } from '../../src/contracts/names.ts';
import { job } from '../../src/workflows/index.ts';
import * as messages from '../../src/workflows/messages.ts';
import { eventually, startTemporal, startWorkers } from '../temporal.ts';
import { digestOf, Worlds } from './world.ts';

describe('job', () => {
  let env: TestWorkflowEnvironment;
  let workers: { stop(): Promise<void> };
  const worlds = new Worlds();
  const resources = { gpus: 2, cpus: 1, memoryBytes: 1_000, timeLimitMs: 1_000 };

  before(async function () {
    this.timeout(60_000);
    env = await startTemporal();
    workers = await startWorkers(env, worlds.activities());
  });
  after(async () => {
    await workers?.stop();
    await env?.teardown();
  });

  const start = async (name: string) =>
    await env.client.workflow.start(job, {
      workflowId: workflowIds.job(`${name}/1/train`),
      taskQueue: taskQueues.control,
      args: [
        {
          key: `${name}/1/train`,
          specDigest: digestOf('spec'),
          queue: 'gpu',
          resources,
          maxResources: { ...resources, memoryBytes: 4_000 },
          firstAttempt: 1,
        },
      ],
    });

  it('submits, awaits, collects, and counts GPU hours', async () => {
    const result = await (await start('plain')).result();
    assert.deepEqual([result.state, result.attempts, result.model], ['succeeded', 1, digestOf('files')]);
    assert.equal(result.gpuHours, (2 * 3_600) / 3_600_000);
  });

  it('resumes from the checkpoint after an infrastructure failure, under a new attempt', async () => {
    worlds.of('killed').jobEnds = [{ state: 'failed', failureClass: 'infrastructure', reason: 'killed' }];
    const result = await (await start('killed')).result();
    assert.equal(result.attempts, 2);
    assert.deepEqual(
      worlds.of('killed').jobs.map((j) => [j.name, j.checkpoint]),
      [
        ['killed/1/train/1', null],
        ['killed/1/train/2', digestOf('checkpoint of killed/1/train/1')],
      ],
    );
  });

  it('doubles the memory up to the cap, then gives up', async () => {
    const oom = { state: 'failed', failureClass: 'outOfMemory', reason: 'oom' } as const;
    worlds.of('big').jobEnds = [oom, oom, oom];
    const result = await (await start('big')).result();
    assert.deepEqual([result.state, result.failureClass, result.attempts], ['failed', 'outOfMemory', 3]);
    assert.deepEqual(
      worlds.of('big').jobs.map((j) => (j.resources as typeof resources).memoryBytes),
      [1_000, 2_000, 4_000],
    );
  });

  it('stops the job when it is cancelled, and says so only when it is gone', async () => {
    worlds.of('stopped').jobHangs = true;
    const handle = await start('stopped');
    await eventually('it runs', async () => (await handle.query(messages.jobStatusQuery)).state === 'running');
    await handle.cancel();
    await assert.rejects(handle.result(), WorkflowFailedError);
    assert.deepEqual(worlds.of('stopped').cancelledJobs, ['stopped/1/train/1']);
  });

  const cancelled = async (handle: Awaited<ReturnType<typeof start>>) =>
    await assert.rejects(
      handle.result(),
      (error: unknown) => error instanceof WorkflowFailedError && /cancel/i.test(error.cause?.message ?? ''),
    );

  it('ends when it is cancelled while its submit keeps failing', async () => {
    const world = worlds.of('stuck');
    world.failsForNowAt = 'submitJob';
    const handle = await start('stuck');
    await eventually('submit fails', async () => world.calls.includes('submitJob'));
    await handle.cancel();
    await cancelled(handle);
    assert.deepEqual([world.jobs, world.withdrawnJobs], [[], ['stuck/1/train/1']]);
  });

  it('leaves no job when it is cancelled while the replies of its submit get lost', async () => {
    const world = worlds.of('unheard');
    world.losesReplyAt = 'submitJob';
    const handle = await start('unheard');
    await eventually('the job is there', async () => world.jobs.length === 1);
    await handle.cancel();
    await cancelled(handle);
    assert.deepEqual([world.jobs, world.withdrawnJobs], [[], ['unheard/1/train/1']]);
  });

  it('takes what cannot be submitted for a user error', async () => {
    worlds.of('refused').failsAt = 'submitJob';
    const result = await (await start('refused')).result();
    assert.deepEqual([result.state, result.failureClass], ['failed', 'userError']);
    assert.match(result.reason, /submitJob is broken/);
  });

  it('adopts an attempt that an earlier life made with other resources, and forgets what it failed of', async () => {
    const world = worlds.of('reborn');
    const spec = digestOf('as placed then');
    const then = { ...resources, memoryBytes: 500 };
    world.attempts.set(spec, { name: 'reborn/1/train/1', resources: then, checkpoint: null });
    world.placements.set('reborn/1/train/1', { spec, queue: null, resources: then, isForeign: false });
    const result = await (await start('reborn')).result();
    assert.deepEqual([result.state, result.attempts], ['succeeded', 1], 'it is not trained twice');

    const unlucky = worlds.of('unlucky');
    unlucky.attempts.set(spec, { name: 'unlucky/1/train/1', resources: then, checkpoint: null });
    unlucky.placements.set('unlucky/1/train/1', {
      spec: digestOf('u'),
      queue: null,
      resources: then,
      isForeign: false,
    });
    unlucky.attempts.set(digestOf('u'), { name: 'unlucky/1/train/1', resources: then, checkpoint: null });
    unlucky.jobEnds = [{ state: 'failed', failureClass: 'outOfMemory', reason: 'oom' }];
    await (await start('unlucky')).result();
    assert.deepEqual(
      unlucky.jobs.map(({ name, resources: { memoryBytes } }) => [name, memoryBytes]),
      [
        ['unlucky/1/train/1', 500],
        ['unlucky/1/train/2', 1_000],
      ],
    );
  });

  it('passes over a name that belongs to an attempt at something else, once that is gone', async () => {
    const world = worlds.of('foreign');
    const spec = digestOf('something else');
    world.attempts.set(spec, { name: 'foreign/1/train/1', resources, checkpoint: null });
    world.placements.set('foreign/1/train/1', { spec, queue: null, resources, isForeign: true });
    const result = await (await start('foreign')).result();
    assert.deepEqual([result.state, result.lastAttempt], ['succeeded', 2]);
    assert.deepEqual(world.withdrawnJobs, ['foreign/1/train/1']);
  });
});
