import assert from 'node:assert/strict';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { ask } from '../../src/client/ask.ts';
import type { RolloutPlan } from '../../src/contracts/messages.ts';
import { taskQueues, workflowIds } from '../../src/contracts/names.ts';
import { retrainCycle } from '../../src/workflows/index.ts';
import * as messages from '../../src/workflows/messages.ts';
import { eventually, startTemporal, startWorkers } from '../temporal.ts';
import { digestOf, Worlds } from './world.ts';

describe('retrainCycle', () => {
  let env: TestWorkflowEnvironment;
  let workers: { stop(): Promise<void> };
  const worlds = new Worlds();
  const rollout: RolloutPlan = {
    canary: [10],
    atLeastRequests: 1,
    atMostMs: 1000,
    onTimeout: 'rollback',
    errorRateMargin: 0.01,
    latencyP99Relative: 0.5,
    probation: null,
  };

  before(async function () {
    this.timeout(60_000);
    env = await startTemporal();
    worlds.client = env.client;
    workers = await startWorkers(env, worlds.activities());
  });
  after(async () => {
    await workers?.stop();
    await env?.teardown();
  });

  const start = async (loop: string, inconclusiveBefore = 0) =>
    await env.client.workflow.start(retrainCycle, {
      workflowId: workflowIds.cycle(loop, 1),
      taskQueue: taskQueues.control,
      args: [{ loop, n: 1, specDigest: digestOf('spec'), reason: 'test', by: 'tester', inconclusiveBefore }],
    });
  type Handle = Awaited<ReturnType<typeof start>>;
  const at = async (handle: Handle, stage: string) =>
    await eventually(stage, async () => {
      const status = await handle.query(messages.cycleStatusQuery);
      return status.stage === stage && (stage !== 'parked' || status.command) ? status : undefined;
    });
  let requests = 0;
  const nextRequest = (): number => {
    requests += 1;
    return requests;
  };
  const says = (by: string) => ({ requestId: `r${nextRequest()}`, reason: 'because', by });

  it('runs the steps in their order and ships int8 when the gate picks it', async () => {
    worlds.of('whole').cycle = { quantizeMargin: 0.01 };
    const result = await (await start('whole')).result();
    assert.equal(result.outcome, 'approved');
    assert.deepEqual(
      worlds.of('whole').calls.filter((call) => !['awaitJob', 'collectJob', 'submitJob'].includes(call)),
      [
        'beginCycle',
        'snapshotData',
        'checkData',
        'acceptData by goto3',
        'prepareTraining',
        'registerModel after attempt 1',
        'evaluateModel',
        'quantizeModel',
        'evaluateModel',
        'decideGate',
        'registerVersion by gate',
        'crownChampion',
        'closeCycle',
      ],
    );
    assert.equal(worlds.of('whole').reports[0]?.precision, 'int8');
  });

  it('ends as noData without rows, and nothing was trained', async () => {
    worlds.of('empty').newRows = 0;
    assert.equal((await (await start('empty')).result()).outcome, 'noData');
    assert.equal(worlds.of('empty').jobs.length, 0);
  });

  it('keeps the champion when the gate fails', async () => {
    worlds.of('bad').gate = { result: 'fail', reasons: ['accuracy fell by 3 points'] };
    const result = await (await start('bad')).result();
    assert.deepEqual(
      [result.outcome, result.detail, result.failed],
      ['failedGate', 'accuracy fell by 3 points', false],
    );
    assert.ok(!worlds.of('bad').calls.some((call) => call.startsWith('registerVersion')));
  });

  it('holds on an inconclusive verdict, and asks a person after the third in a row', async () => {
    worlds.of('unsure').gate = { result: 'inconclusive', reasons: ['1,200 rows would decide'] };
    const held = await (await start('unsure')).result();
    assert.deepEqual([held.outcome, held.inconclusive], ['inconclusive', true]);
    worlds.of('unsure3').gate = { result: 'inconclusive', reasons: ['1,200 rows would decide'] };
    const handle = await start('unsure3', 2);
    await at(handle, 'approval');
    await ask(handle, messages.approveUpdate, says('anybody'));
    assert.equal((await handle.result()).outcome, 'approved');
  });

  it('waits for the right person, and refuses the wrong one and the author', async () => {
    worlds.of('asked').cycle = {
      approval: { by: ['ann', 'bob'], notBy: 'bob', withinMs: 60_000, onTimeout: 'reject' },
    };
    const handle = await start('asked');
    const early = await ask(handle, messages.retryUpdate, says('ann'));
    assert.equal(early.state, 'refused');
    const status = await at(handle, 'approval');
    assert.match(status.command ?? '', /goto3 cycle approve asked\/1/);
    assert.ok(status.deadlineMs);
    await eventually('attention', async () => {
      const list = env.client.workflow.list({ query: `Goto3Attention = 'approval' AND WorkflowId = 'cycle/asked/1'` });
      for await (const _ of list) return true;
      return false;
    });
    assert.equal((await ask(handle, messages.approveUpdate, says('mallory'))).state, 'refused');
    assert.equal((await ask(handle, messages.approveUpdate, says('bob'))).state, 'refused');
    assert.equal((await ask(handle, messages.rejectUpdate, says('ann'))).state, 'done');
    assert.equal((await handle.result()).outcome, 'rejected');
    assert.ok(worlds.of('asked').calls.includes('notify approvalNeeded'));
  });

  it('rejects when nobody approves in time', async () => {
    worlds.of('late').cycle = { approval: { by: ['ann'], notBy: null, withinMs: 50, onTimeout: 'reject' } };
    const result = await (await start('late')).result();
    assert.deepEqual([result.outcome, result.detail], ['rejected', 'nobody approved it in time']);
  });

  it('parks on held-back data: a person drops a slice, or accepts it', async () => {
    const problem = {
      check: 'labelDisagreement',
      slice: 'month=2002-09',
      rows: 40,
      message: 'month=2002-09: 60 % disagree',
    };
    worlds.of('poisoned').problems = [problem];
    const handle = await start('poisoned');
    assert.match((await at(handle, 'parked')).waitsFor, /60 % disagree/);
    await ask(handle, messages.dropDataUpdate, { ...says('ann'), slice: 'month=2002-09' });
    assert.equal((await handle.result()).outcome, 'approved');
    assert.ok(worlds.of('poisoned').calls.includes('dropData month=2002-09'));

    worlds.of('trusted').problems = [problem];
    const trusting = await start('trusted');
    await at(trusting, 'parked');
    await ask(trusting, messages.acceptDataUpdate, says('ann'));
    assert.equal((await trusting.result()).outcome, 'approved');
    assert.ok(worlds.of('trusted').calls.includes('acceptData by ann'));
  });

  it('parks on a user error; a retry goes on with the next attempt number and its resources', async () => {
    worlds.of('broken').jobEnds = [{ state: 'failed', failureClass: 'userError', reason: 'SyntaxError in train.ts' }];
    const handle = await start('broken');
    const status = await at(handle, 'parked');
    assert.match(status.waitsFor, /SyntaxError in train.ts/);
    await ask(handle, messages.retryUpdate, { ...says('ann'), resources: { memoryBytes: 2_000 } });
    assert.equal((await handle.result()).outcome, 'approved');
    const jobs = worlds.of('broken').jobs;
    assert.deepEqual(
      jobs.map((j) => j.name),
      ['broken/1/train/1', 'broken/1/train/2'],
    );
    assert.equal((jobs[1]!.resources as { memoryBytes: number }).memoryBytes, 2_000);
  });

  it('treats diverged training as a failed gate, not as a fault', async () => {
    worlds.of('nan').jobEnds = [{ state: 'failed', failureClass: 'diverged', reason: 'loss is NaN at step 7' }];
    const result = await (await start('nan')).result();
    assert.deepEqual([result.outcome, result.failed], ['failedGate', false]);
  });

  it('waits for the endpoint, and reports what it says', async () => {
    const world = worlds.of('deployed');
    world.plan = { ...world.plan, endpoint: 'mail' };
    world.cycle = { rollout };
    const handle = await start('deployed');
    await eventually('the deploy', async () => world.deploys.length === 1);
    assert.equal(world.deploys[0]!.requestId, 'cycle/deployed/1');
    await handle.signal(messages.deployFinishedSignal, {
      requestId: 'another',
      outcome: 'deployed',
      reason: 'x',
      deployment: null,
    });
    await handle.signal('deployFinished', 'rubbish');
    await handle.signal(messages.deployFinishedSignal, {
      requestId: 'cycle/deployed/1',
      outcome: 'rolledBack',
      reason: '3 of 5 answers failed',
      deployment: digestOf('d'),
    });
    const result = await handle.result();
    assert.deepEqual([result.outcome, result.detail, result.failed], ['rolledBack', '3 of 5 answers failed', true]);
    assert.ok(world.calls.includes('notify rolledBack'));
  });

  it('ends as approved, not deployed, when the endpoint refuses', async () => {
    const world = worlds.of('frozen');
    world.plan = { ...world.plan, endpoint: 'mail' };
    world.cycle = { rollout };
    world.deployAnswer = { id: 'x', state: 'refused', reason: 'frozen by ann' };
    assert.equal((await (await start('frozen')).result()).outcome, 'approvedNotDeployed');
  });

  it('withdraws its rollout when it is cancelled', async () => {
    const world = worlds.of('withdrawn');
    world.plan = { ...world.plan, endpoint: 'mail' };
    world.cycle = { rollout };
    const handle = await start('withdrawn');
    await eventually('the deploy', async () => world.deploys.length === 1);
    await handle.cancel();
    assert.equal((await handle.result()).outcome, 'cancelled');
    assert.ok(world.calls.includes('withdraw from mail'));
  });
});
