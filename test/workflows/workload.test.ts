import assert from 'node:assert/strict';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { cancelJob } from '../../src/client/job.ts';
import { workloadIds } from '../../src/contracts/workload-names.ts';
import type { Needs } from '../../src/jobs/workload/waves.ts';
import { resumeWorkloadUpdate, workloadStatusQuery } from '../../src/workflows/workload-messages.ts';
import { eventually, startTemporal, startWorkers } from '../temporal.ts';
import { WorkloadWorlds } from './workload-world.ts';

describe('workload', () => {
  let env: TestWorkflowEnvironment;
  let workers: { stop(): Promise<void> };
  const worlds = new WorkloadWorlds();

  before(async function () {
    this.timeout(60_000);
    env = await startTemporal();
    workers = await startWorkers(env, worlds.activities());
  });
  after(async () => {
    await workers?.stop();
    await env?.teardown();
  });

  const start = async (name: string, needs: Needs, fails: string[] = [], onFailure: 'park' | 'end' = 'park') => {
    const world = worlds.of(name);
    for (const job of fails) world.fails.add(job);
    return { world, handle: await worlds.start(env.client, name, needs, onFailure) };
  };
  const lengthOf = async (workflowId: string): Promise<number> =>
    Number((await env.client.workflow.getHandle(workflowId).describe()).historyLength);

  it('starts each job when what it needs has ended, and none twice', async () => {
    const needs = { a: [], b: ['a'], c: ['a'], d: ['b', 'c'], e: [] };
    const { world, handle } = await start('diamond', needs);
    const result = await handle.result();
    assert.deepEqual([result.state, result.succeeded], ['succeeded', 5]);
    assert.deepEqual([...world.runs].sort(), ['a', 'b', 'c', 'd', 'e']);
    assert.deepEqual(world.broken, []);
  });

  it('a wave of 200 jobs that end one by one has a history far below 4,096 events', async function () {
    this.timeout(60_000);
    // A chain makes as many events as there can be: nothing shares a workflow task.
    const chain = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`c${i}`, i === 0 ? [] : [`c${i - 1}`]]));
    const { world, handle } = await start('chain', chain);
    const result = await handle.result();
    assert.deepEqual([result.succeeded, world.mostAtOnce, world.broken], [20, 1, []]);
    const events = await lengthOf(workloadIds.wave({ workload: 'chain', key: 'k' }, 0));
    assert.ok(10 * events < 4_096, `${events} events for 20 jobs`);
  });

  it('parks with the command; a resume runs what failed and what waited for it, under a new history', async () => {
    const { world, handle } = await start('broken', { a: [], b: ['a'], c: ['b'], d: [] }, ['b']);
    const status = await eventually('it parks', async () => {
      const now = await handle.query(workloadStatusQuery);
      return now.state === 'parked' && now;
    });
    assert.deepEqual(status.counts, { succeeded: 2, failed: 1, cancelled: 0, skipped: 1 });
    assert.equal(status.command, 'goto3 workload resume broken/k --reason "..."');
    world.fails.clear();
    const request = { requestId: 'r', reason: 'repaired', by: 'ann' };
    const answer = await handle.executeUpdate(resumeWorkloadUpdate, { args: [request] });
    assert.equal(answer.state, 'started');
    const result = await handle.result();
    assert.equal(result.state, 'succeeded');
    assert.deepEqual([...world.runs].sort(), ['a', 'b', 'b', 'c', 'd']);
  });

  it('a job that a person cancels alone ends as cancelled; what needs it is skipped until a resume', async () => {
    worlds.of('one').hangs.add('a');
    const { handle, world } = await start('one', { a: [], b: ['a'], c: [] });
    const state = () => handle.query(workloadStatusQuery);
    await eventually('a runs and c has ended', async () => world.runs.includes('a') && world.ended.has('c'));
    assert.equal(await cancelJob(env.client, 'one/k/a'), 'job/workload/one/k/a');
    await eventually('it parks', async () => (await state()).state === 'parked');
    assert.deepEqual((await state()).counts, { succeeded: 1, failed: 0, cancelled: 1, skipped: 1 });
    assert.deepEqual([world.ended.get('a')?.state, world.ended.get('a')?.failureClass], ['cancelled', null]);
    world.hangs.clear();
    await handle.executeUpdate(resumeWorkloadUpdate, { args: [{ requestId: 'r', reason: 'again', by: 'ann' }] });
    assert.equal((await handle.result()).succeeded, 3);
  });

  it('refuses a resume that is no request, and one while it runs; ends on failure when the file says so', async () => {
    const { handle } = await start('ends', { a: [] }, ['a'], 'end');
    assert.equal((await handle.result()).state, 'failed');
    const { handle: other } = await start('parks', { a: [] }, ['a']);
    await eventually('it parks', async () => (await other.query(workloadStatusQuery)).state === 'parked');
    await assert.rejects(other.executeUpdate(resumeWorkloadUpdate, { args: [{ by: 'ann' } as never] }));
    await other.cancel();
    await assert.rejects(other.result());
  });
});
