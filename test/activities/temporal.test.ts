import assert from 'node:assert/strict';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { createCycleActivities } from '../../src/activities/cycle.ts';
import { notYet } from '../../src/activities/failures.ts';
import { createLoopActivities } from '../../src/activities/loop.ts';
import { pulse } from '../../src/activities/pulse.ts';
import type { CycleActivities, LoopActivities, ReportDraft } from '../../src/contracts/activities.ts';
import type { DeployRequest } from '../../src/contracts/messages.ts';
import { refNames, taskQueues, workflowIds } from '../../src/contracts/names.ts';
import { getManifest } from '../../src/store/manifests.ts';
import { type endpoint, job, retrainCycle, retrainingLoop } from '../../src/workflows/index.ts';
import * as messages from '../../src/workflows/messages.ts';
import { eventually, startTemporal, startWorkers } from '../temporal.ts';
import { digestOf, Worlds } from '../workflows/world.ts';
import { failure, House, run } from './house.ts';

describe('activities that talk to Temporal', () => {
  let env: TestWorkflowEnvironment;
  let workers: { stop(): Promise<void> };
  let house: House;
  let loop: LoopActivities;
  let cycle: CycleActivities;
  const worlds = new Worlds();
  /** What each attempt at probation knew of the one before. */
  const looks: unknown[] = [];
  /** Cancelled attempts of jobs that hang. */
  const cancelled: string[] = [];

  before(async function () {
    this.timeout(60_000);
    env = await startTemporal();
    worlds.client = env.client;
    workers = await startWorkers(env, {
      ...worlds.activities(),
      observeProbation: async () =>
        await pulse(async (say, _signal, before) => {
          looks.push(before);
          if (looks.length === 1) say({ look: 1 });
          if (looks.length < 4) throw notYet('not yet', 20);
          return { outcome: 'passed', reason: 'enough' };
        }),
      awaitJob: async ({ ref }: { ref: { name: string } }) =>
        await pulse(
          async (_say, signal) =>
            await new Promise((_resolve, reject) => {
              signal.addEventListener('abort', () => {
                cancelled.push(ref.name);
                reject(signal.reason as Error);
              });
            }),
        ),
    });
  });
  after(async () => {
    await workers?.stop();
    await env?.teardown();
  });
  beforeEach(async () => {
    house = await House.open();
    const { store } = house;
    loop = createLoopActivities({ store, client: env.client });
    cycle = createCycleActivities({ store, client: env.client });
  });
  afterEach(() => house.close());

  const deploy = (requestId: string, changes: Partial<DeployRequest> = {}): DeployRequest => ({
    ...{ requestId, reason: 'test', by: requestId, modelName: 'm', loop: 'l', version: 1, approvedByPerson: false },
    model: digestOf(requestId),
    plan: {
      ...{ canary: [], atLeastRequests: 1, atMostMs: 1_000, onTimeout: 'rollback' },
      ...{ errorRateMargin: 0.01, latencyP99Relative: 1, probation: null },
    },
    replyTo: null,
    ...changes,
  });

  describe('pulse', () => {
    it('keeps what an attempt said last for all that follow, through benign failures', async () => {
      const probation = { forMs: 1_000, accuracyLoss: 0.1 };
      await run(cycle.requestDeploy, { endpoint: 'looked-at', request: deploy('first') });
      await eventually('it is deployed', async () => worlds.of('looked-at').calls.includes('record deployed'));
      const second = deploy('second');
      await run(cycle.requestDeploy, {
        endpoint: 'looked-at',
        request: { ...second, plan: { ...second.plan, probation } },
      });
      const handle = env.client.workflow.getHandle<typeof endpoint>(workflowIds.endpoint('looked-at'));
      await eventually('probation has passed', async () => looks.length === 4);
      assert.deepEqual(looks, [undefined, { look: 1 }, { look: 1 }, { look: 1 }]);
      await handle.terminate();
    });

    it('brings a cancellation to work that only waits', async function () {
      this.timeout(20_000);
      const handle = await env.client.workflow.start(job, {
        workflowId: workflowIds.job('hangs/1/train'),
        taskQueue: taskQueues.control,
        args: [
          {
            ...{ key: 'hangs/1/train', specDigest: digestOf('spec'), queue: 'gpu', firstAttempt: 1 },
            resources: { gpus: 0, cpus: 1, memoryBytes: 1, timeLimitMs: 1 },
            maxResources: { gpus: 0, cpus: 1, memoryBytes: 1, timeLimitMs: 1 },
          },
        ],
      });
      await eventually('it waits', async () => (await handle.query(messages.jobStatusQuery)).state === 'running');
      await handle.cancel();
      await assert.rejects(handle.result());
      assert.deepEqual(cancelled, ['hangs/1/train/1']);
    });
  });

  describe('of a cycle', () => {
    it('ask for a rollout once, however often, and withdraw it', async () => {
      const input = { endpoint: 'asked', request: deploy('cycle/l/1') };
      const answer = await run(cycle.requestDeploy, input);
      assert.deepEqual(await run(cycle.requestDeploy, input), answer);
      assert.equal(answer.state, 'started');
      await eventually('it is deployed', async () => worlds.of('asked').calls.includes('record deployed'));
      const late = { endpoint: 'asked', deploy: 'cycle/l/1', reason: 'cancelled', by: 'cycle/l/1' };
      const withdrawn = await run(cycle.withdrawDeploy, late);
      assert.deepEqual(await run(cycle.withdrawDeploy, late), withdrawn);
      assert.match(withdrawn.reason, /nothing to withdraw/);
      assert.equal(worlds.of('asked').calls.filter((call) => call === 'record deployed').length, 1);
      await env.client.workflow.getHandle(workflowIds.endpoint('asked')).terminate();
    });

    it('close it with the report of its history, once', async () => {
      worlds.of('closed').problems = [{ check: 'minRows', slice: null, rows: 3, message: 'too few rows' }];
      worlds.of('closed').failsAt = 'prepareTraining';
      const input = {
        loop: 'closed',
        n: 1,
        specDigest: digestOf('spec'),
        reason: 'test',
        by: 'ann',
        inconclusiveBefore: 0,
      };
      const handle = await env.client.workflow.start(retrainCycle, {
        workflowId: workflowIds.cycle('closed', 1),
        taskQueue: taskQueues.control,
        args: [input],
      });
      await eventually('it is parked', async () => (await handle.query(messages.cycleStatusQuery)).command !== null);
      const waited = Date.now();
      await eventually('a person takes their time', async () => Date.now() - waited > 300);
      await handle.executeUpdate(messages.acceptDataUpdate, { args: [{ requestId: 'r1', reason: 'fine', by: 'ann' }] });
      assert.equal((await handle.result()).outcome, 'failed');

      const draft: ReportDraft = {
        ...{ loop: 'closed', cycle: 1, reason: 'test', outcome: 'failed', detail: 'x'.repeat(1_000), gpuHours: 0 },
        startedAt: (await handle.describe()).startTime.toISOString(),
      };
      const { report, finished } = await run(cycle.closeCycle, { plan: null, input, draft });
      assert.deepEqual([finished.n, finished.outcome, finished.failed], [1, 'failed', true]);
      const { phasesMs, startedAt, endedAt } = await getManifest(house.store, report, 'CycleReport');
      assert.ok(
        phasesMs.waiting! >= 300 && phasesMs.data! > 0 && phasesMs.orchestration! > 0,
        JSON.stringify(phasesMs),
      );
      const total = Object.values(phasesMs).reduce((a, b) => a + b, 0);
      assert.ok(Math.abs(total - (Date.parse(endedAt) - Date.parse(startedAt))) < 1);

      assert.deepEqual(await run(cycle.closeCycle, { plan: null, input, draft }), { report, finished });
      const late = { ...draft, outcome: 'cancelled' as const };
      const again = await run(cycle.closeCycle, { plan: null, input, draft: late });
      assert.deepEqual(again.finished, finished, 'what was reported once stays');
      assert.equal((await house.store.refs.read(refNames.reports('closed')))?.entry, 1);
    });
  });

  describe('of a loop', () => {
    const open = async (expected: Awaited<ReturnType<LoopActivities['openCycle']>> | null, operation: string) =>
      await run(loop.openCycle, {
        ...{ loop: 'spam', expected, specDigest: digestOf('spec'), operation },
        ...{ reason: 'new rows', by: 'trigger' },
      });
    const load = async () => await run(loop.loadLoop, { loop: 'spam', specDigest: await house.apply() });
    const lost = (n: number) =>
      run(loop.reportLostCycle, {
        loop: 'spam',
        n,
        reason: 'new rows',
        startedAtMs: Date.now() - 1_000,
        detail: 'terminated',
      });

    it('take each number once, and a late worker takes none', async () => {
      const first = await open(null, 'run-1/open/0');
      assert.deepEqual(await open(null, 'run-1/open/0'), first, 'a lost reply');
      const second = await open(first, 'run-1/open/1');
      assert.equal(second.entry, 2);
      assert.deepEqual(await open(first, 'run-1/open/1'), second);
      await assert.rejects(open(first, 'run-0/open/1'), failure('RefConflict', 'loops/spam/cycles'));
    });

    it('load what an earlier life left: number, unfinished cycle, limits, fuse', async () => {
      const fresh = await load();
      assert.deepEqual([fresh.cycles, fresh.unfinished, fresh.finishedCycles, fresh.recent], [null, null, 0, []]);
      assert.deepEqual(fresh.fuse, { position: null, consecutiveFailures: 0, paused: null });
      assert.deepEqual([fresh.plan.endpoint, fresh.plan.pollMs], ['mail', null]);

      const first = await open(null, 'run-1/open/0');
      const unfinished = { n: 1, specDigest: digestOf('spec'), reason: 'new rows', by: 'trigger' };
      assert.deepEqual((await load()).unfinished, unfinished, 'with the spec that it was opened with');
      const { outcome, failed, detail } = await lost(1);
      assert.deepEqual([outcome, failed, detail], ['failed', true, 'terminated']);
      await lost(1);
      const after = await load();
      assert.deepEqual(
        [after.cycles, after.unfinished, after.finishedCycles, after.recent.length],
        [first, null, 1, 1],
      );

      const paused = { by: 'fuse', reason: 'r'.repeat(2_000), atMs: 7 };
      const input = { loop: 'spam', expected: null, consecutiveFailures: 3, paused, operation: 'fuse/1' };
      const position = await run(loop.recordFuse, input);
      assert.deepEqual(await run(loop.recordFuse, input), position);
      assert.deepEqual((await load()).fuse, { position, consecutiveFailures: 3, paused });
    });

    it('describe a cycle that is open, closed, or forgotten', async () => {
      worlds.of('described').cycle = { approval: { by: ['*'], notBy: null, withinMs: 60_000, onTimeout: 'park' } };
      const workflowId = workflowIds.cycle('described', 1);
      const handle = await env.client.workflow.start(retrainCycle, {
        workflowId,
        taskQueue: taskQueues.control,
        args: [
          { loop: 'described', n: 1, specDigest: digestOf('s'), reason: 'test', by: 'ann', inconclusiveBefore: 0 },
        ],
      });
      const runId = handle.firstExecutionRunId;
      assert.deepEqual(await run(loop.describeCycle, { workflowId, runId: null }), {
        open: true,
        status: 'running',
        runId,
      });
      await handle.terminate();
      assert.deepEqual(await run(loop.describeCycle, { workflowId, runId }), {
        open: false,
        status: 'terminated',
        runId,
      });
      assert.deepEqual(await run(loop.describeCycle, { workflowId: 'cycle/never/1', runId: null }), {
        ...{ open: false, status: 'forgotten', runId: '' },
      });
    });

    it('pass a kick on to a loop that runs, and start none', async () => {
      const request = { requestId: 'kick/1', reason: 'schedule', by: 'schedule' };
      await assert.rejects(
        run(loop.requestRetrain, { loop: 'kicked', request }),
        failure('LoopNotApplied', 'the loop kicked is not running; goto3 apply <file> starts it'),
      );
      const handle = await env.client.workflow.start(retrainingLoop, {
        workflowId: workflowIds.loop('kicked'),
        taskQueue: taskQueues.control,
        args: [{ loop: 'kicked', specDigest: digestOf('spec') }],
      });
      const answer = await run(loop.requestRetrain, { loop: 'kicked', request });
      assert.deepEqual([answer.id, answer.state], ['cycle/kicked/1', 'started']);
      assert.deepEqual(await run(loop.requestRetrain, { loop: 'kicked', request }), answer);
      await handle.terminate();
    });
  });
});
