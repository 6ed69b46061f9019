import assert from 'node:assert/strict';
import { heartbeat, sleep } from '@temporalio/activity';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { cancelJob } from '../../src/client/job.ts';
import { taskQueues } from '../../src/contracts/names.ts';
import type { EndedJob, PreparedJob, WaveJob } from '../../src/contracts/workload-messages.ts';
import { workloadIds } from '../../src/contracts/workload-names.ts';
import { cutIntoWaves, type Needs } from '../../src/jobs/workload/waves.ts';
import { workload } from '../../src/workflows/index.ts';
import { resumeWorkloadUpdate, workloadStatusQuery } from '../../src/workflows/workload-messages.ts';
import { eventually, startTemporal, startWorkers } from '../temporal.ts';
import { digestOf } from './world.ts';

const resources = { gpus: 0, cpus: 1, memoryBytes: 1_000, timeLimitMs: 1_000 };

/** A store and a runner in memory, by workload: enough for the workflows to be what they are. */
class Fake {
  needs: Needs = {};
  fails = new Set<string>();
  hangs = new Set<string>();
  readonly ended = new Map<string, EndedJob>();
  readonly runs: string[] = [];
  running = 0;
  mostAtOnce = 0;
  readonly broken: string[] = [];
}

/** `workload/<name>/k/<job>/<attempt>` */
function partsOf(spec: string): { name: string; job: string } {
  const [, name, , job] = spec.split('/') as [string, string, string, string];
  return { name, job };
}

describe('workload', () => {
  let env: TestWorkflowEnvironment;
  let workers: { stop(): Promise<void> };
  const fakes = new Map<string, Fake>();
  const fakeOf = (name: string): Fake => fakes.get(name)!;
  const done = (fake: Fake, job: string): boolean => fake.ended.get(job)?.state === 'succeeded';

  const activities = {
    async openWorkload({ workload: name }: { workload: string }) {
      const fake = fakeOf(name);
      const waves = cutIntoWaves(fake.needs).map((wave, n) => ({ ...wave, n }));
      const open = waves.filter(({ jobs }) => jobs.some((job) => !done(fake, job)));
      const numbers = new Set(open.map(({ n }) => n));
      return {
        jobs: Object.keys(fake.needs).length,
        done: Object.keys(fake.needs).filter((job) => done(fake, job)).length,
        waves: open.map(({ n, needs }) => ({ n, needs: needs.filter((other) => numbers.has(other)) })),
      };
    },
    async loadWave({ workload: name, n }: { workload: string; n: number }): Promise<{ jobs: WaveJob[] }> {
      const fake = fakeOf(name);
      const { jobs } = cutIntoWaves(fake.needs)[n]!;
      return {
        jobs: jobs.map((job) => ({
          name: job,
          needs: fake.needs[job]!.filter((other) => jobs.includes(other)).map((other) => [other, 'succeeded']),
          standing: done(fake, job) ? 'done' : 'todo',
        })),
      };
    },
    async advanceWave({ workload: name, ended, start }: { workload: string; ended: EndedJob[]; start: string[] }) {
      const fake = fakeOf(name);
      for (const end of ended) fake.ended.set(end.job, end);
      for (const job of start)
        if (!fake.needs[job]!.every((other) => done(fake, other))) fake.broken.push(`${job} before its needs`);
      return {
        prepared: start.map(
          (job): PreparedJob => ({
            ...{ job, key: `workload/${name}/k/${job}`, specDigest: digestOf('spec'), queue: 'gpu', resources },
            maxResources: resources,
            firstAttempt: (fake.ended.get(job)?.lastAttempt ?? 0) + 1,
          }),
        ),
      };
    },
    async closeWorkload({ workload: name }: { workload: string }) {
      const fake = fakeOf(name);
      const jobs = Object.keys(fake.needs);
      const failures = jobs
        .filter((job) => fake.ended.get(job)?.state === 'failed')
        .map((job) => ({ job, failureClass: 'userError', reason: 'no', lastAttempt: 1 }));
      const succeeded = jobs.filter((job) => done(fake, job)).length;
      const cancelled = jobs.filter((job) => fake.ended.get(job)?.state === 'cancelled').length;
      return {
        state: succeeded === jobs.length ? 'succeeded' : 'failed',
        ...{ jobs: jobs.length, succeeded, failed: failures.length, cancelled },
        skipped: jobs.length - succeeded - failures.length - cancelled,
        ...{ failures, report: digestOf('report') },
      };
    },
    async placeJob({ name }: { name: string }) {
      return { spec: name, queue: null, resources, isForeign: false };
    },
    async submitJob({ spec }: { spec: string }) {
      const { name, job } = partsOf(spec);
      const fake = fakeOf(name);
      fake.runs.push(job);
      fake.running += 1;
      fake.mostAtOnce = Math.max(fake.mostAtOnce, fake.running);
      return { runner: 'local', name: spec, specDigest: digestOf('spec'), externalId: spec };
    },
    async awaitJob({ ref }: { ref: { name: string } }) {
      const { name, job } = partsOf(ref.name);
      const fake = fakeOf(name);
      while (fake.hangs.has(job)) {
        await sleep(20);
        heartbeat();
      }
      fake.running -= 1;
      return fake.fails.has(job)
        ? { state: 'failed', failureClass: 'userError', reason: 'exit code 3', durationMs: 5 }
        : { state: 'succeeded', failureClass: null, reason: 'succeeded', durationMs: 5 };
    },
    async cancelJob() {},
    async collectJob() {
      return { model: null, output: digestOf('files'), metrics: {} };
    },
    async saveCheckpoint() {
      return { checkpoint: null };
    },
  };

  before(async function () {
    this.timeout(60_000);
    env = await startTemporal();
    workers = await startWorkers(env, activities);
  });
  after(async () => {
    await workers?.stop();
    await env?.teardown();
  });

  const start = async (
    name: string,
    needs: Needs,
    fails: string[] = [],
    onFailure: 'park' | 'end' = 'park',
    fake = new Fake(),
  ) => {
    Object.assign(fake, { needs, fails: new Set(fails) });
    fakes.set(name, fake);
    const handle = await env.client.workflow.start(workload, {
      workflowId: workloadIds.workload({ workload: name, key: 'k' }),
      taskQueue: taskQueues.control,
      args: [{ workload: name, key: 'k', specDigest: digestOf('spec'), onFailure, round: 1 }],
    });
    return { fake, handle };
  };
  const lengthOf = async (workflowId: string): Promise<number> =>
    Number((await env.client.workflow.getHandle(workflowId).describe()).historyLength);

  it('starts each job when what it needs has ended, and none twice', async () => {
    const needs = { a: [], b: ['a'], c: ['a'], d: ['b', 'c'], e: [] };
    const { fake, handle } = await start('diamond', needs);
    const result = await handle.result();
    assert.deepEqual([result.state, result.succeeded], ['succeeded', 5]);
    assert.deepEqual([...fake.runs].sort(), ['a', 'b', 'c', 'd', 'e']);
    assert.deepEqual(fake.broken, []);
  });

  it('a wave of 200 jobs that end one by one has a history far below 4,096 events', async function () {
    this.timeout(60_000);
    // A chain makes as many events as there can be: nothing shares a workflow task.
    const chain = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`c${i}`, i === 0 ? [] : [`c${i - 1}`]]));
    const { fake, handle } = await start('chain', chain);
    const result = await handle.result();
    assert.deepEqual([result.succeeded, fake.mostAtOnce, fake.broken], [20, 1, []]);
    const events = await lengthOf(workloadIds.wave({ workload: 'chain', key: 'k' }, 0));
    assert.ok(10 * events < 4_096, `${events} events for 20 jobs`);
  });

  it('parks with the command; a resume runs what failed and what waited for it, under a new history', async () => {
    const { fake, handle } = await start('broken', { a: [], b: ['a'], c: ['b'], d: [] }, ['b']);
    const status = await eventually('it parks', async () => {
      const now = await handle.query(workloadStatusQuery);
      return now.state === 'parked' && now;
    });
    assert.deepEqual(status.counts, { succeeded: 2, failed: 1, cancelled: 0, skipped: 1 });
    assert.equal(status.command, 'goto3 workload resume broken/k --reason "..."');
    fake.fails.clear();
    const request = { requestId: 'r', reason: 'repaired', by: 'ann' };
    const answer = await handle.executeUpdate(resumeWorkloadUpdate, { args: [request] });
    assert.equal(answer.state, 'started');
    const result = await handle.result();
    assert.equal(result.state, 'succeeded');
    assert.deepEqual([...fake.runs].sort(), ['a', 'b', 'b', 'c', 'd']);
  });

  it('a job that a person cancels alone ends as cancelled; what needs it is skipped until a resume', async () => {
    const fake = new Fake();
    fake.hangs.add('a');
    const { handle } = await start('one', { a: [], b: ['a'], c: [] }, [], 'park', fake);
    const state = () => handle.query(workloadStatusQuery);
    await eventually('a runs and c has ended', async () => fake.runs.includes('a') && fake.ended.has('c'));
    assert.equal(await cancelJob(env.client, 'one/k/a'), 'job/workload/one/k/a');
    await eventually('it parks', async () => (await state()).state === 'parked');
    assert.deepEqual((await state()).counts, { succeeded: 1, failed: 0, cancelled: 1, skipped: 1 });
    assert.deepEqual([fake.ended.get('a')?.state, fake.ended.get('a')?.failureClass], ['cancelled', null]);
    fake.hangs.clear();
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
