import assert from 'node:assert/strict';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { ask } from '../../src/client/ask.ts';
import type { RolloutPlan } from '../../src/contracts/messages.ts';
import { taskQueues, workflowIds } from '../../src/contracts/names.ts';
import { endpoint } from '../../src/workflows/index.ts';
import * as messages from '../../src/workflows/messages.ts';
import { eventually, startTemporal, startWorkers } from '../temporal.ts';
import { digestOf, Worlds } from './world.ts';

const plan: RolloutPlan = {
  ...{ canary: [], atLeastRequests: 1, atMostMs: 60_000, onTimeout: 'rollback' },
  ...{ errorRateMargin: 0.01, latencyP99Relative: 0.5 },
  probation: { forMs: 60_000, accuracyLoss: 0.03 },
};

/** What happens to an endpoint when no cycle is there to tell it. */
describe('an endpoint tells whoever is on call', () => {
  let env: TestWorkflowEnvironment;
  let workers: { stop(): Promise<void> };
  const worlds = new Worlds();

  before(async function () {
    this.timeout(60_000);
    env = await startTemporal({ 'limit.historyCount.suggestContinueAsNew': 60 });
    worlds.client = env.client;
    workers = await startWorkers(env, worlds.activities());
  });
  after(async () => {
    await workers?.stop();
    await env?.teardown();
  });

  let requests = 0;
  const says = (by: string) => {
    requests += 1;
    return { requestId: `r${requests}`, reason: 'because', by };
  };
  /** Serves its second version, which is in probation; the cycles that asked for it have ended. */
  const inProbation = async (name: string) => {
    await env.client.workflow.start(endpoint, {
      workflowId: workflowIds.endpoint(name),
      taskQueue: taskQueues.control,
      args: [{ endpoint: name }],
    });
    // Whichever run is the newest.
    const handle = env.client.workflow.getHandle(workflowIds.endpoint(name));
    const status = async () => await handle.query(messages.endpointStatusQuery);
    const deploy = async (version: number) => {
      const model = digestOf(`v${version}`);
      const versioned = { model, modelName: name, loop: name, version, approvedByPerson: false };
      await ask(handle, messages.deployUpdate, { ...says('cycle'), ...versioned, plan, replyTo: null });
    };
    const serves = async (version: number) =>
      await eventually(`${name} serves version ${version}`, async () => {
        const { current, last } = await status();
        return current?.version === version && last?.model === current.model;
      });
    for (const version of [1, 2]) {
      await deploy(version);
      await serves(version);
    }
    return { handle, status, deploy, serves, world: worlds.of(name) };
  };
  const rolledBack = (name: string) =>
    `version 2 on ${name} was rolled back to version 1: labels say rollback (probation)`;

  it('of a rollback in probation, also when its worker dies before the webhook answers', async () => {
    const { world, status } = await inProbation('late');
    world.webhookIsAway = true;
    world.probation = 'rollback';
    await eventually('the webhook is asked', async () => world.calls.includes('notify rolledBack'));
    assert.deepEqual(world.notices, []);
    await workers.stop();
    workers = await startWorkers(env, worlds.activities());
    world.webhookIsAway = false;
    const [notice] = await eventually('it is told', async () => world.notices.length > 0 && world.notices);
    assert.deepEqual([notice?.event, notice?.text], ['rolledBack', rolledBack('late')]);
    assert.equal(notice?.command, 'goto3 endpoint unfreeze late --reason "..."');
    assert.equal((await status()).current?.version, 1);
    assert.equal(world.notices.length, 1);
  }).timeout(30_000);

  it('of a rollback that was not told when its run closed, once', async () => {
    const { handle, world } = await inProbation('long');
    const firstRun = (await handle.describe()).runId;
    world.webhookIsAway = true;
    world.probation = 'rollback';
    await eventually('the webhook is asked', async () => world.calls.includes('notify rolledBack'));
    // Every word is an event or three.
    await eventually(
      'a new run',
      async () => {
        await ask(handle, messages.freezeUpdate, says('ann'));
        return (await handle.describe()).runId !== firstRun;
      },
      30_000,
    );
    world.webhookIsAway = false;
    await eventually('it is told', async () => world.notices.length > 0, 30_000);
    const asked = world.calls.filter((call) => call === 'notify rolledBack').length;
    await ask(handle, messages.unfreezeUpdate, says('ann'));
    await eventually('it goes on', async () => (await handle.query(messages.endpointStatusQuery)).frozen === null);
    assert.deepEqual(
      world.notices.map(({ text }) => text),
      [rolledBack('long')],
    );
    assert.equal(world.calls.filter((call) => call === 'notify rolledBack').length, asked, 'what was told is over');
  }).timeout(60_000);

  it('that it has parked, and not any more once somebody has repaired it', async () => {
    const { handle, world, deploy, serves } = await inProbation('stuck');
    world.failsAt = 'readChampion';
    await deploy(3);
    const [notice] = await eventually('it is told', async () => world.notices.length > 0 && world.notices);
    assert.equal(notice?.event, 'parked');
    assert.match(notice!.text, /^the endpoint stuck cannot go on: readChampion is broken; it serves on/);
    world.failsAt = null;
    await ask(handle, messages.unfreezeUpdate, says('ann'));
    await serves(3);
    world.failsAt = 'readChampion';
    world.webhookIsAway = true;
    await deploy(4);
    const asked = () => world.calls.filter((call) => call === 'notify parked').length;
    const before = asked();
    await eventually('the webhook is asked again', async () => asked() > before);
    world.failsAt = null;
    await ask(handle, messages.unfreezeUpdate, says('ann'));
    await serves(4);
    world.webhookIsAway = false;
    assert.equal(world.notices.length, 1, 'repaired before it was heard is no news');
  }).timeout(30_000);
});
