import assert from 'node:assert/strict';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { ask } from '../../src/client/ask.ts';
import { taskQueues, workflowIds } from '../../src/contracts/names.ts';
import { retrainingLoop } from '../../src/workflows/index.ts';
import * as messages from '../../src/workflows/messages.ts';
import { eventually, startTemporal, startWorkers } from '../temporal.ts';
import { digestOf, Worlds } from './world.ts';

describe('retrainingLoop, continued as new', () => {
  let env: TestWorkflowEnvironment;
  let workers: { stop(): Promise<void> };
  const worlds = new Worlds();
  const request = (requestId: string) => ({ requestId, reason: 'because', by: 'tester' });

  before(async function () {
    this.timeout(60_000);
    env = await startTemporal({ 'limit.historyCount.suggestContinueAsNew': 40 });
    worlds.client = env.client;
    workers = await startWorkers(env, worlds.activities());
  });
  after(async () => {
    await workers?.stop();
    await env?.teardown();
  });

  it('goes on waiting for a person, remembers its answers and carries every request over', async () => {
    const world = worlds.of('patient');
    world.cycle = { approval: { by: ['ann'], notBy: null, withinMs: 600_000, onTimeout: 'reject' } };
    await env.client.workflow.start(retrainingLoop, {
      workflowId: workflowIds.loop('patient'),
      taskQueue: taskQueues.control,
      args: [{ loop: 'patient', specDigest: digestOf('spec') }],
    });
    const loop = env.client.workflow.getHandle(workflowIds.loop('patient'));
    const firstRun = (await loop.describe()).runId;
    const first = await ask(loop, messages.retrainUpdate, request('r1'));
    const cycle = env.client.workflow.getHandle(workflowIds.cycle('patient', 1));
    await eventually('approval', async () => (await cycle.query(messages.cycleStatusQuery)).stage === 'approval');
    await Promise.all(Array.from({ length: 60 }, (_, i) => ask(loop, messages.retrainUpdate, request(`more-${i}`))));
    await eventually('a new run', async () => (await loop.describe()).runId !== firstRun);
    assert.deepEqual(await ask(loop, messages.retrainUpdate, request('r1')), first);
    world.cycle = {};
    await ask(cycle, messages.approveUpdate, { requestId: 'a1', reason: 'fine', by: 'ann' });
    await eventually('two cycles', async () => (await loop.query(messages.loopStatusQuery)).finishedCycles === 2);
    assert.ok(world.calls.includes('registerVersion by ann (person)'));
  }).timeout(60_000);
});
