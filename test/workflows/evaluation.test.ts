import assert from 'node:assert/strict';
import { ApplicationFailure } from '@temporalio/common';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { ask } from '../../src/client/ask.ts';
import type { EvaluateActivities } from '../../src/contracts/activities.ts';
import type { Digest } from '../../src/contracts/digest.ts';
import { failureTypes } from '../../src/contracts/failures.ts';
import { taskQueues, workflowIds } from '../../src/contracts/names.ts';
import { retrainCycle } from '../../src/workflows/index.ts';
import * as messages from '../../src/workflows/messages.ts';
import { eventually, startTemporal, startWorkers } from '../temporal.ts';
import { digestOf, Worlds } from './world.ts';

const resources = { gpus: 0, cpus: 1, memoryBytes: 1_000, timeLimitMs: 1_000 };
const champion = { entry: 1, digest: digestOf('champion'), operation: 'crown' };

describe('retrainCycle with an evaluation program', () => {
  let env: TestWorkflowEnvironment;
  let workers: { stop(): Promise<void> };
  const worlds = new Worlds();
  /** By loop: models whose preparation fails, whose output is bad (so many times), and what was asked. */
  const unpreparable = new Map<string, Digest>();
  const bad = new Map<string, Map<Digest, number>>();
  const scored: {
    loop: string;
    model: Digest;
    program: Parameters<EvaluateActivities['evaluateModel']>[0]['program'];
  }[] = [];

  before(async function () {
    this.timeout(60_000);
    env = await startTemporal();
    worlds.client = env.client;
    const activities = worlds.activities();
    const evaluation: Partial<typeof activities> = {
      async prepareEvaluation(input) {
        if (unpreparable.get(input.plan.loop) === input.model)
          throw ApplicationFailure.nonRetryable('half of it is gone', failureTypes.corruptBlob);
        return { key: `${input.plan.loop}/1/evaluate/${input.model.slice(-8)}`, specDigest: digestOf(input.model) };
      },
      async evaluateModel(input) {
        const { plan, model, program } = input;
        scored.push({ loop: plan.loop, model, program });
        const times = bad.get(plan.loop)?.get(model) ?? 0;
        if (program && 'output' in program && times > 0) {
          bad.get(plan.loop)!.set(model, times - 1);
          throw ApplicationFailure.nonRetryable('line 3: cost: missing', failureTypes.badEvaluation);
        }
        const servable = !(program && 'problem' in program);
        return { evaluation: digestOf(`evaluation of ${model}`), servable, summary: {} };
      },
      async collectJob(input) {
        return { ...(await activities.collectJob(input)), output: digestOf('output'), lastLines: 'bye' };
      },
    };
    workers = await startWorkers(env, { ...activities, ...evaluation });
  });
  after(async () => {
    await workers?.stop();
    await env?.teardown();
  });

  const start = async (loop: string) => {
    worlds.of(loop).cycle = { ...worlds.of(loop).cycle, evaluation: { resources, maxResources: resources } };
    return await env.client.workflow.start(retrainCycle, {
      workflowId: workflowIds.cycle(loop, 1),
      taskQueue: taskQueues.control,
      args: [{ loop, n: 1, specDigest: digestOf('spec'), reason: 'test', by: 'tester', inconclusiveBefore: 0 }],
    });
  };
  const parked = async (handle: Awaited<ReturnType<typeof start>>) =>
    await eventually('parked', async () => {
      const status = await handle.query(messages.cycleStatusQuery);
      return status.stage === 'parked' && status.command ? status : undefined;
    });
  const retry = (handle: Awaited<ReturnType<typeof start>>, requestId: string) =>
    ask(handle, messages.retryUpdate, { requestId, reason: 'repaired', by: 'ann' });
  const askedOf = (loop: string) => scored.filter((one) => one.loop === loop);

  it('runs it as a job for each model, and hands on what it left', async () => {
    worlds.of('each').cycle = { champion, quantizeMargin: 0.01 };
    assert.equal((await (await start('each')).result()).outcome, 'approved');
    const names = worlds.of('each').jobs.map(({ name }) => name);
    assert.equal(names.length, 4);
    assert.equal(names[0], 'each/1/train/1');
    for (const name of names.slice(1)) assert.match(name, /^each\/1\/evaluate\/[0-9a-f]{8}\/1$/);
    assert.deepEqual(
      askedOf('each').map(({ program }) => program),
      names.slice(1).map((job, i) => ({
        ...{ job, jobSpec: digestOf(askedOf('each')[i]!.model), output: digestOf('output'), lastLines: 'bye' },
      })),
    );
  });

  it('parks when the program fails on the candidate, and tries again when a person says so', async () => {
    const failed = { state: 'failed', failureClass: 'userError', reason: 'exit code 1: KeyError: cost' } as const;
    worlds.of('fails').jobEnds = [{}, failed];
    const handle = await start('fails');
    const status = await parked(handle);
    assert.match(status.waitsFor, /the evaluation failed: userError: exit code 1: KeyError: cost/);
    assert.match(status.command!, /^goto3 cycle retry fails\/1 .*\ngoto3 job logs fails\/1\/evaluate\/[0-9a-f]{8}\/1$/);
    assert.equal((await retry(handle, 'r1')).state, 'done');
    assert.equal((await handle.result()).outcome, 'approved');
    assert.match(worlds.of('fails').jobs.at(-1)!.name, /\/evaluate\/[0-9a-f]{8}\/2$/, 'an attempt of its own');
  });

  it('parks on an output that cannot be judged, as often as it takes', async () => {
    bad.set('rubbish', new Map([[digestOf('model 1'), 2]]));
    const handle = await start('rubbish');
    assert.match((await parked(handle)).waitsFor, /the evaluation failed: line 3: cost: missing/);
    await retry(handle, 'r1');
    await eventually('parked again', async () => {
      const { command } = await handle.query(messages.cycleStatusQuery);
      return command?.endsWith('/2') ? true : undefined;
    });
    await retry(handle, 'r2');
    assert.equal((await handle.result()).outcome, 'approved');
  });

  for (const [what, arrange] of [
    [
      'its program fails on it',
      (loop: string) =>
        (worlds.of(loop).jobEnds = [{}, {}, { state: 'failed', failureClass: 'userError', reason: 'exit code 1' }]),
    ],
    ['its output cannot be judged', (loop: string) => bad.set(loop, new Map([[champion.digest, 1]]))],
    ['its bytes are gone', (loop: string) => unpreparable.set(loop, champion.digest)],
  ] as const)
    it(`does not wait for anybody when the champion cannot be scored: ${what}`, async () => {
      const loop = what.replaceAll(/[^a-z]/g, '-');
      worlds.of(loop).cycle = { champion };
      arrange(loop);
      const result = await (await start(loop)).result();
      assert.equal(result.outcome, 'approved', 'the gate of this world passes whatever comes');
      const last = askedOf(loop).at(-1)!;
      assert.equal(last.model, champion.digest);
      assert.ok(last.program && 'problem' in last.program, JSON.stringify(last.program));
      assert.match(last.program.problem, /exit code 1|line 3|half of it is gone/);
    });

  it('ends a cycle whose candidate cannot be prepared only when a person retries: nothing is guessed', async () => {
    unpreparable.set('candidate', digestOf('model 1'));
    const handle = await start('candidate');
    assert.match((await parked(handle)).waitsFor, /the evaluation failed: half of it is gone/);
    unpreparable.delete('candidate');
    await retry(handle, 'r1');
    assert.equal((await handle.result()).outcome, 'approved');
  });
});
