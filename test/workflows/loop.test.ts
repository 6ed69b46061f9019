import assert from 'node:assert/strict';
import { WorkflowFailedError, WorkflowUpdateFailedError } from '@temporalio/client';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { ask } from '../../src/client/ask.ts';
import { taskQueues, workflowIds } from '../../src/contracts/names.ts';
import { retrainingLoop } from '../../src/workflows/index.ts';
import * as messages from '../../src/workflows/messages.ts';
import { eventually, startTemporal, startWorkers } from '../temporal.ts';
import { digestOf, Worlds } from './world.ts';

describe('retrainingLoop', () => {
  let env: TestWorkflowEnvironment;
  let workers: { stop(): Promise<void> };
  const worlds = new Worlds();
  const request = (requestId: string) => ({ requestId, reason: 'because', by: 'tester' });

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

  const start = async (loop: string) =>
    await env.client.workflow.start(retrainingLoop, {
      workflowId: workflowIds.loop(loop),
      taskQueue: taskQueues.control,
      args: [{ loop, specDigest: digestOf('spec') }],
    });
  const status = async (loop: string) =>
    await env.client.workflow.getHandle(workflowIds.loop(loop)).query(messages.loopStatusQuery);
  const finished = async (loop: string, cycles: number) =>
    await eventually(`${cycles} cycles of ${loop}`, async () => {
      const now = await status(loop);
      return now.finishedCycles >= cycles && now.state !== 'running' ? now : undefined;
    });

  it('runs a cycle when asked, and waits again', async () => {
    const handle = await start('asked');
    const answer = await handle.executeUpdate(messages.retrainUpdate, { args: [request('r1')] });
    assert.deepEqual(answer, { id: 'cycle/asked/1', state: 'started', reason: 'because' });
    const now = await finished('asked', 1);
    assert.equal(now.last?.outcome, 'approved');
    assert.equal(now.state, 'idle');
    assert.equal(worlds.of('asked').reports[0]?.outcome, 'approved');
  });

  it('answers the same request once, and coalesces different ones into one queued cycle', async () => {
    const world = worlds.of('herd');
    world.jobHangs = true;
    const handle = await start('herd');
    const askAll = async (id: (i: number) => string) =>
      await Promise.all(Array.from({ length: 100 }, (_, i) => ask(handle, messages.retrainUpdate, request(id(i)))));
    const same = await askAll(() => 'same');
    assert.equal(new Set(same.map((answer) => JSON.stringify(answer))).size, 1);
    await eventually('the first cycle runs', async () => (await status('herd')).state === 'running');
    const answers = await askAll((i) => `other-${i}`);
    assert.ok(answers.every((answer) => answer.id === 'cycle/herd/2' && answer.state === 'queued'));
    world.jobHangs = false;
    await finished('herd', 2);
    assert.equal(world.jobs.length, 2);
  }).timeout(60_000);

  it('asks the data program when a service announces data, and a trigger starts a cycle', async () => {
    const world = worlds.of('pushed');
    world.plan = { ...world.plan, newRows: 50 };
    const handle = await start('pushed');
    await eventually('the first probe', async () => world.calls.includes('probeData'));
    world.trigger = '100 new rows';
    await handle.signal(messages.newDataSignal, { rows: 100 });
    const now = await finished('pushed', 1);
    assert.equal(now.last?.outcome, 'approved');
    assert.equal(world.reports[0]?.reason, '100 new rows');
  });

  it('polls without leaving history', async () => {
    const world = worlds.of('polled');
    world.plan = { ...world.plan, newRows: 50, pollMs: 20 };
    const handle = await start('polled');
    await eventually('5 probes', async () => world.calls.filter((c) => c === 'probeData').length >= 5);
    const history = await handle.fetchHistory();
    assert.ok((history.events?.length ?? 0) < 20, `${history.events?.length} events`);
    world.trigger = '100 new rows';
    await finished('polled', 1);
  });

  it('pauses, refuses while paused, and resumes', async () => {
    const handle = await start('paused');
    await handle.executeUpdate(messages.pauseUpdate, { args: [request('p')] });
    const refused = await handle.executeUpdate(messages.retrainUpdate, { args: [request('r1')] });
    assert.equal(refused.state, 'refused');
    assert.match(refused.reason, /goto3 loop resume paused/);
    await handle.executeUpdate(messages.resumeUpdate, { args: [request('u')] });
    assert.equal((await handle.executeUpdate(messages.retrainUpdate, { args: [request('r2')] })).state, 'started');
    await finished('paused', 1);
  });

  it('blows the fuse after failures in a row and records it', async () => {
    const world = worlds.of('fused');
    world.plan = { ...world.plan, pauseAfterFailures: 2 };
    world.failsAt = 'snapshotData';
    const handle = await start('fused');
    for (let i = 1; i <= 2; i += 1) {
      await handle.executeUpdate(messages.retrainUpdate, { args: [request(`r${i}`)] });
      await finished('fused', i);
    }
    const now = await status('fused');
    assert.equal(now.paused?.by, 'fuse');
    assert.match(now.paused?.reason ?? '', /snapshotData is broken/);
    await eventually(
      'the fuse is recorded',
      async () => world.fuse?.paused !== null && world.fuse?.consecutiveFailures === 2,
    );
  }).timeout(30_000);

  it('refuses malformed updates, drops malformed signals, and still answers', async () => {
    const handle = await start('typed');
    for (const bad of [
      null,
      7,
      'x',
      [],
      {},
      { requestId: '', reason: 'r', by: 'b' },
      { requestId: 'x', reason: 'r', by: 'b', extra: 1 },
    ])
      await assert.rejects(
        handle.executeUpdate('retrain', { args: [bad] }),
        (error: unknown) => error instanceof WorkflowUpdateFailedError && /input/.test(error.cause?.message ?? ''),
      );
    for (const bad of [null, 7, 'x', [], { n: -1 }, { __proto__: 1, rows: 'many' }]) {
      await handle.signal('newData', bad);
      await handle.signal('cycleFinished', bad);
    }
    const now = await eventually('signals dropped', async () => {
      const s = await status('typed');
      return s.droppedSignals >= 10 ? s : undefined;
    });
    assert.equal(now.state, 'idle');
  });

  it('runs an unfinished cycle again under its number when Temporal has forgotten everything', async () => {
    const world = worlds.of('amnesia');
    world.cycles = { entry: 7, digest: digestOf('c7'), operation: 'c7' };
    world.unfinished = { n: 7, specDigest: digestOf('spec of then'), reason: 'new rows', by: 'trigger' };
    await start('amnesia');
    const now = await finished('amnesia', 1);
    assert.equal(now.last?.n, 7);
    assert.deepEqual(
      world.jobs.map((j) => j.name),
      ['amnesia/7/train/1'],
    );
  });

  it('ends after its cycles when the spec says how many', async () => {
    worlds.of('once').plan = { ...worlds.of('once').plan, cycles: 1 };
    const handle = await start('once');
    await handle.executeUpdate(messages.retrainUpdate, { args: [request('r1')] });
    await handle.result();
    assert.equal(worlds.of('once').reports.length, 1);
  });

  it('cancels its cycle and the job when it is cancelled', async () => {
    const world = worlds.of('cancelled');
    world.jobHangs = true;
    const handle = await start('cancelled');
    await handle.executeUpdate(messages.retrainUpdate, { args: [request('r1')] });
    await eventually('the job runs', async () => world.calls.includes('awaitJob'));
    await handle.cancel();
    await assert.rejects(handle.result(), WorkflowFailedError);
    assert.equal(world.reports[0]?.outcome, 'cancelled');
    assert.deepEqual(world.cancelledJobs, ['cancelled/1/train/1']);
  }).timeout(30_000);

  it('adopts a cycle that its earlier life left running', async () => {
    const world = worlds.of('twice');
    world.jobHangs = true;
    const first = await start('twice');
    await first.executeUpdate(messages.retrainUpdate, { args: [request('r1')] });
    await eventually('the job runs', async () => world.calls.includes('awaitJob'));
    await first.terminate('by accident');
    world.unfinished = { n: 1, specDigest: digestOf('spec'), reason: 'because', by: 'tester' };
    await start('twice');
    await eventually('adopted', async () => (await status('twice')).running?.n === 1);
    world.jobHangs = false;
    await finished('twice', 1);
    assert.equal(world.jobs.length, 1);
  }).timeout(30_000);

  const idle = async (loop: string) =>
    await eventually(`${loop} waits`, async () => (await status(loop)).waitsFor === 'a request to retrain');
  const parked = async (loop: string) =>
    await eventually(`${loop} is parked`, async () => {
      const now = await status(loop);
      return now.blocked && now.state === 'parked' ? now : undefined;
    });
  const attentionOf = async (loop: string, kind: string) =>
    await eventually(`${loop}: ${kind}`, async () => {
      const query = `Goto3Attention = '${kind}' AND WorkflowId = 'loop/${loop}'`;
      for await (const _ of env.client.workflow.list({ query })) return true;
      return false;
    });

  it('parks when it cannot be loaded, says so, and goes on with a spec that can', async () => {
    const world = worlds.of('unread');
    world.failsAt = 'loadLoop';
    world.plan = { ...world.plan, notifyOn: ['parked'] };
    const handle = await start('unread');
    assert.match((await parked('unread')).waitsFor, /loadLoop is broken/);
    await attentionOf('unread', 'parked');
    const refused = await handle.executeUpdate(messages.retrainUpdate, { args: [request('r')] });
    assert.match(refused.reason, /cannot go on: loadLoop is broken; goto3 apply/);
    const spec = (requestId: string, name: string) => ({ ...request(requestId), specDigest: digestOf(name) });
    await assert.rejects(
      handle.executeUpdate(messages.setSpecUpdate, { args: [spec('s1', 'broken spec')] }),
      (error: WorkflowUpdateFailedError) => /gate.metrics: expected a list/.test(error.cause?.message ?? ''),
    );
    // Still broken: it tries, and parks again.
    await handle.executeUpdate(messages.resumeUpdate, { args: [request('u')] });
    await eventually('a second try', async () => world.calls.filter((call) => call === 'loadLoop').length >= 2);
    await parked('unread');
    world.failsAt = null;
    await handle.executeUpdate(messages.setSpecUpdate, { args: [spec('s2', 'spec 2')] });
    const now = await eventually('it goes on', async () => {
      const s = await status('unread');
      return s.state === 'idle' ? s : undefined;
    });
    assert.equal(now.specDigest, digestOf('spec 2'));
    await handle.executeUpdate(messages.retrainUpdate, { args: [request('r2')] });
    await finished('unread', 1);
  }).timeout(30_000);

  it('parks when the number of its next cycle is taken, and goes on from what the store says', async () => {
    const world = worlds.of('taken');
    world.plan = { ...world.plan, notifyOn: ['parked'] };
    const handle = await start('taken');
    await idle('taken');
    // Another life of this loop, on another server with the same store.
    world.cycles = { entry: 1, digest: digestOf('theirs'), operation: 'theirs' };
    await handle.executeUpdate(messages.retrainUpdate, { args: [request('r')] });
    assert.match((await parked('taken')).blocked!.reason, /moved by somebody else/);
    await eventually('whoever is on call knows', async () => world.notices.length === 1);
    assert.deepEqual(world.notices[0]?.command, 'goto3 apply <file>\ngoto3 loop resume taken --reason "..."');
    await handle.executeUpdate(messages.resumeUpdate, { args: [request('u')] });
    assert.equal((await finished('taken', 1)).last?.n, 2);
    assert.equal(world.notices.length, 1);
  }).timeout(30_000);

  it('parks when its fuse cannot be recorded, and records it later', async () => {
    const world = worlds.of('unrecorded');
    const handle = await start('unrecorded');
    await idle('unrecorded');
    world.failsAt = 'recordFuse';
    await handle.executeUpdate(messages.pauseUpdate, { args: [request('p')] });
    assert.match((await parked('unrecorded')).blocked!.reason, /recordFuse is broken/);
    world.failsAt = null;
    await handle.executeUpdate(messages.setSpecUpdate, {
      args: [{ ...request('s'), specDigest: digestOf('spec 2') }],
    });
    await eventually('recorded', async () => (world.fuse?.paused as { by: string } | undefined)?.by === 'tester');
    assert.equal((await status('unrecorded')).state, 'paused', 'the pause has not been forgotten');
  }).timeout(30_000);

  it('takes the report of a cycle whose signal got lost from the store', async () => {
    const world = worlds.of('unheard');
    world.jobHangs = true;
    const handle = await start('unheard');
    await handle.executeUpdate(messages.retrainUpdate, { args: [request('r')] });
    await eventually('the job runs', async () => world.calls.includes('awaitJob'));
    // Its workflow is gone, and its report had been written before.
    world.reports.push({
      ...{ loop: 'unheard', cycle: 1, reason: 'because', startedAt: new Date(0).toISOString(), gpuHours: 0 },
      ...{ outcome: 'approved', detail: 'version 1 is approved' },
    });
    await env.client.workflow.getHandle(workflowIds.cycle('unheard', 1)).terminate();
    await handle.cancel();
    await assert.rejects(handle.result(), WorkflowFailedError);
  }).timeout(30_000);

  it('tells whoever is on call once that its fuse has blown, however long the webhook is away', async () => {
    const world = worlds.of('rung');
    world.plan = { ...world.plan, pauseAfterFailures: 1, notifyOn: ['paused', 'overBudget'] };
    world.failsAt = 'snapshotData';
    world.webhookIsAway = true;
    const handle = await start('rung');
    await handle.executeUpdate(messages.retrainUpdate, { args: [request('r')] });
    await eventually('it is tried', async () => world.calls.includes('notify paused'));
    assert.equal((await status('rung')).state, 'paused');
    world.webhookIsAway = false;
    await eventually('it went out', async () => world.notices.length === 1);
    assert.match(world.notices[0]!.text, /has paused itself: 1 cycles failed in a row, .*snapshotData is broken/);
    assert.equal(world.notices[0]!.command, 'goto3 loop resume rung --reason "..."');
    world.failsAt = null;
    world.plan = { ...world.plan, cyclesPerDay: 1 };
    await handle.executeUpdate(messages.resumeUpdate, { args: [request('u')] });
    await handle.executeUpdate(messages.setSpecUpdate, {
      args: [{ ...request('s'), specDigest: digestOf('spec 2') }],
    });
    assert.equal((await handle.executeUpdate(messages.retrainUpdate, { args: [request('r2')] })).state, 'refused');
  }).timeout(30_000);

  it('takes a signal whose payload nobody can read for a malformed one', async () => {
    const handle = await start('garbled');
    await idle('garbled');
    const payload = { metadata: { encoding: Buffer.from('json/plain') }, data: Buffer.from('{not json') };
    for (const signalName of ['newData', 'cycleFinished', 'nonsense'])
      await env.client.workflowService.signalWorkflowExecution({
        ...{ namespace: env.namespace ?? 'default', signalName, identity: 'a person' },
        ...{ workflowExecution: { workflowId: handle.workflowId }, input: { payloads: [payload] } },
      });
    await handle.executeUpdate(messages.retrainUpdate, { args: [request('r')] });
    await finished('garbled', 1);
  });
});
