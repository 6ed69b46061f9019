import assert from 'node:assert/strict';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { ask } from '../../src/client/ask.ts';
import type { DeployRequest } from '../../src/contracts/messages.ts';
import { taskQueues, workflowIds } from '../../src/contracts/names.ts';
import { endpoint } from '../../src/workflows/index.ts';
import * as messages from '../../src/workflows/messages.ts';
import { eventually, startTemporal, startWorkers } from '../temporal.ts';
import { digestOf, Worlds } from './world.ts';

describe('endpoint', () => {
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
  const nextRequest = (): number => {
    requests += 1;
    return requests;
  };
  const says = (by: string) => ({ requestId: `r${nextRequest()}`, reason: 'because', by });
  const open = async (name: string) => {
    await env.client.workflow.start(endpoint, {
      workflowId: workflowIds.endpoint(name),
      taskQueue: taskQueues.control,
      args: [{ endpoint: name }],
    });
    const handle = env.client.workflow.getHandle(workflowIds.endpoint(name));
    const status = async () => await handle.query(messages.endpointStatusQuery);
    const deploy = async (version: number, more: Partial<DeployRequest> = {}) =>
      await ask(handle, messages.deployUpdate, {
        ...says('cycle'),
        model: digestOf(`v${version}`),
        modelName: name,
        loop: name,
        version,
        approvedByPerson: false,
        plan: {
          canary: [10, 50],
          atLeastRequests: 300,
          atMostMs: 60_000,
          onTimeout: 'rollback',
          errorRateMargin: 0.01,
          latencyP99Relative: 0.5,
          probation: null,
        },
        replyTo: null,
        ...more,
      });
    const serves = async (version: number) =>
      await eventually(`${name} serves version ${version}`, async () => {
        const now = await status();
        // Its deployment is on record: until then the champion has not moved.
        return now.current?.version === version && now.last?.model === now.current.model ? now : undefined;
      });
    return { handle, status, deploy, serves, world: worlds.of(name) };
  };
  const desiredOf = (world: { calls: string[] }) => world.calls.filter((c) => c.startsWith('desired'));

  it('gives the first version all traffic and takes the second through the canary', async () => {
    const { deploy, serves, world } = await open('mail');
    assert.equal((await deploy(1)).state, 'started');
    await serves(1);
    await deploy(2);
    const now = await serves(2);
    assert.equal(now.stable?.version, 1);
    assert.deepEqual(desiredOf(world), [
      'desired candidate=100',
      'desired current=100',
      'desired current=90 candidate=10',
      'desired current=50 candidate=50',
      'desired current=0 candidate=100',
      'desired current=100',
    ]);
    assert.deepEqual(
      world.calls.filter((c) => c.startsWith('canary')),
      ['canary 10', 'canary 50'],
    );
    assert.equal(world.champion?.digest, digestOf('v2'));
  });

  it('rolls a bad canary back at once, bars it, freezes, and refuses until it is unfrozen', async () => {
    const { handle, deploy, serves, status, world } = await open('bad');
    await deploy(1);
    await serves(1);
    world.canary = [{}, { decision: 'rollback', reason: '9 of 30 answers failed' }];
    await deploy(2);
    const frozen = await eventually('frozen', async () => {
      const now = await status();
      return now.frozen && now.last?.outcome === 'rolledBack' ? now : undefined;
    });
    assert.equal(frozen.current?.version, 1);
    assert.deepEqual(frozen.barred, [digestOf('v2')]);
    assert.equal(desiredOf(world).at(-1), 'desired current=100');
    assert.equal(world.champion?.digest, digestOf('v1'));
    const refused = await deploy(3);
    assert.match(refused.reason, /goto3 endpoint unfreeze bad/);
    await ask(handle, messages.unfreezeUpdate, says('ann'));
    assert.match((await deploy(2)).reason, /barred/);
    await deploy(3);
    await serves(3);
  });

  it('takes a canary back when its cycle withdraws it, without barring it', async () => {
    const { handle, deploy, serves, status, world } = await open('withdrawn');
    await deploy(1);
    await serves(1);
    world.canaryHangs = true;
    const answer = await deploy(2);
    await eventually('canary', async () => (await status()).candidate?.weight === 10);
    await ask(handle, messages.withdrawUpdate, { ...says('cycle'), deploy: answer.id });
    const now = await eventually('withdrawn', async () => {
      const s = await status();
      return s.last?.outcome === 'withdrawn' ? s : undefined;
    });
    assert.deepEqual([now.current?.version, now.frozen, now.barred.length], [1, null, 0]);
  });

  it('replaces a waiting version of the same loop, and queues that of another', async () => {
    const { deploy, serves, status, world } = await open('queue');
    await deploy(1);
    await serves(1);
    world.canaryHangs = true;
    await deploy(2);
    await eventually('canary', async () => (await status()).candidate?.version === 2);
    assert.equal((await deploy(3)).state, 'queued');
    await deploy(4);
    await deploy(5, { loop: 'other-loop' });
    assert.deepEqual(
      (await status()).queued.map((q) => q.version),
      [4, 5],
    );
    world.canaryHangs = false;
    await serves(5);
  });

  it('rolls back on an operator’s word to the version before', async () => {
    const { handle, deploy, serves, status, world } = await open('operator');
    assert.equal((await ask(handle, messages.rollbackUpdate, says('ann'))).state, 'refused');
    await deploy(1);
    await serves(1);
    await deploy(2);
    await serves(2);
    assert.equal((await ask(handle, messages.rollbackUpdate, says('ann'))).reason, 'back to version 1');
    const now = await eventually('rolled back', async () => {
      const s = await status();
      return s.last?.outcome === 'rolledBack' ? s : undefined;
    });
    assert.equal(now.current?.version, 1);
    assert.equal(now.frozen?.by, 'ann');
    assert.equal(world.champion?.digest, digestOf('v1'));
  });

  it('rolls back when delayed labels turn against a version in probation', async () => {
    const { deploy, serves, status, world } = await open('probation');
    await deploy(1);
    await serves(1);
    const plan = {
      canary: [10],
      atLeastRequests: 1,
      atMostMs: 1_000,
      onTimeout: 'rollback',
      errorRateMargin: 0,
      latencyP99Relative: 1,
      probation: { forMs: 1_000, accuracyLoss: 0.03 },
    } as const;
    await deploy(2, { plan: { ...plan, canary: [10] } });
    const during = await serves(2);
    assert.equal(during.probation?.version, 2);
    assert.equal(desiredOf(world).at(-1), 'desired current=100 stable=0 shadow', 'the version before stays warm');
    world.probation = 'rollback';
    await eventually('rolled back', async () => (await status()).current?.version === 1);
    assert.equal((await status()).frozen?.by, 'probation');
  });

  it('adopts what a person wrote by hand, aborts its rollout, and freezes', async () => {
    const { handle, deploy, serves, status, world } = await open('glass');
    await deploy(1);
    await serves(1);
    const before = world.desired!;
    world.desired = {
      position: { entry: before.position.entry + 1, digest: digestOf('by hand'), operation: 'by hand' },
      state: {
        ...before.state,
        generation: before.state.generation + 1,
        variants: [{ name: 'current', model: digestOf('v0'), weight: 100, shadow: false }],
      },
    };
    world.movedBy = { by: 'ann', reason: 'false alarms', atMs: 7 };
    world.known = [{ model: digestOf('v0'), modelName: 'glass', version: 1 }];
    world.barred = [digestOf('v1')];
    const now = await eventually('adopted', async () => {
      const s = await status();
      return s.last?.outcome === 'adopted' ? s : undefined;
    });
    assert.equal(now.current?.model, digestOf('v0'));
    assert.deepEqual([now.frozen?.by, now.adopted?.by, now.adopted?.reason], ['ann', 'ann', 'false alarms']);
    assert.match(now.frozen?.reason ?? '', /by hand: false alarms/);
    const { outcome, by, reason } = world.deployments.at(-1)!;
    assert.deepEqual([outcome, by, reason], ['adopted', 'ann', 'false alarms']);
    assert.equal(world.champion?.digest, digestOf('v0'), 'what serves is the champion');
    await ask(handle, messages.unfreezeUpdate, says('ann'));
    assert.match((await deploy(1)).reason, /barred/, 'the glass was broken to get rid of it');
  });

  it('parks on what fails for good, serves on, and goes on when somebody says so', async () => {
    const { handle, deploy, serves, status, world } = await open('broken');
    await deploy(1);
    await serves(1);
    world.failsAt = 'readChampion';
    await deploy(2);
    const parked = await eventually('parked', async () => {
      const now = await status();
      return now.blocked ? now : undefined;
    });
    assert.match(parked.blocked!.reason, /readChampion is broken/);
    assert.equal(parked.command, 'goto3 endpoint unfreeze broken --reason "..."');
    assert.match((await deploy(3)).reason, /cannot go on: readChampion is broken; goto3 endpoint unfreeze/);
    world.failsAt = null;
    assert.equal((await ask(handle, messages.unfreezeUpdate, says('ann'))).reason, 'it tries again');
    await serves(2);
  });

  it('tells the cycle also when its rollout cannot be recorded, and takes back a canary that it cannot follow', async () => {
    const { handle, deploy, serves, status, world } = await open('unrecorded');
    await deploy(1);
    await serves(1);
    world.canaryHangs = true;
    const answer = await deploy(2);
    await eventually('canary', async () => (await status()).candidate?.weight === 10);
    world.failsAt = 'setDesired';
    await ask(handle, messages.withdrawUpdate, { ...says('cycle'), deploy: answer.id });
    await eventually('parked', async () => (await status()).blocked !== null);
    world.failsAt = 'recordDeployment';
    await ask(handle, messages.unfreezeUpdate, says('ann'));
    await eventually('parked again', async () => /recordDeployment/.test((await status()).blocked?.reason ?? ''));
    world.failsAt = null;
    await ask(handle, messages.unfreezeUpdate, says('ann'));
    await eventually('the canary is gone', async () => desiredOf(world).at(-1) === 'desired current=100');
    world.canaryHangs = false;
    await deploy(3);
    await serves(3);
  });

  it('carries out a rollback that is asked for while it is parked', async () => {
    const { handle, deploy, serves, status, world } = await open('urgent');
    for (const version of [1, 2]) {
      await deploy(version);
      await serves(version);
    }
    world.failsAt = 'readChampion';
    await deploy(3);
    await eventually('parked', async () => (await status()).blocked !== null);
    assert.equal((await ask(handle, messages.rollbackUpdate, says('ann'))).reason, 'back to version 1');
    // The weights first: what cannot be recorded comes after.
    await eventually('rolled back', async () => world.desired?.state.variants[0]?.model === digestOf('v1'));
    assert.equal(desiredOf(world).at(-1), 'desired current=100');
  });

  it('holds a version that no replica can load just now, and bars one that none ever will', async () => {
    const { handle, deploy, serves, status, world } = await open('slow');
    world.notServed = { failed: false, detail: 'replica-1: the store does not answer' };
    await deploy(1);
    await eventually('it waits', async () => world.calls.filter((c) => c === 'awaitGeneration').length >= 1);
    assert.deepEqual([(await status()).candidate?.weight, (await status()).frozen], [100, null]);
    world.notServed = null;
    await serves(1);
    world.notServed = { failed: true, detail: 'replica-1: model.onnx does not load' };
    await deploy(2);
    const now = await eventually('rolled back', async () => {
      const s = await status();
      return s.last?.outcome === 'rolledBack' ? s : undefined;
    });
    assert.deepEqual([now.current?.version, now.barred], [1, [digestOf('v2')]]);
    assert.match(now.frozen?.reason ?? '', /not served: replica-1: model.onnx does not load/);

    await ask(handle, messages.unfreezeUpdate, says('ann'));
    world.notServed = { failed: false, detail: 'replica-1: the store does not answer' };
    const waiting = await deploy(3);
    await eventually('it waits again', async () => (await status()).candidate?.weight === 100);
    await ask(handle, messages.withdrawUpdate, { ...says('cycle'), deploy: waiting.id });
    await eventually('withdrawn', async () => (await status()).last?.outcome === 'withdrawn');
    assert.equal((await status()).frozen, null, 'it has done nothing wrong');
  });

  it('carries shadows for the record', async () => {
    const { handle, deploy, serves, world } = await open('shadowed');
    await deploy(1);
    await serves(1);
    await ask(handle, messages.shadowUpdate, { ...says('ann'), name: 'frozen', model: digestOf('v0') });
    await eventually('shadow', async () => desiredOf(world).at(-1) === 'desired current=100 frozen=0 shadow');
    assert.equal(
      (await ask(handle, messages.shadowUpdate, { ...says('ann'), name: 'current', model: digestOf('v0') })).state,
      'refused',
    );
  });
});
