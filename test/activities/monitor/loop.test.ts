import assert from 'node:assert/strict';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { createDataActivities } from '../../../src/activities/data.ts';
import { createLoopActivities } from '../../../src/activities/loop.ts';
import type { Digest } from '../../../src/contracts/digest.ts';
import { MonitorRecord } from '../../../src/contracts/monitor.ts';
import { refNames, taskQueues, workflowIds } from '../../../src/contracts/names.ts';
import { getJson } from '../../../src/store/manifests.ts';
import { retrainingLoop } from '../../../src/workflows/index.ts';
import * as messages from '../../../src/workflows/messages.ts';
import { constantModel } from '../../serving/models.ts';
import { eventually, startTemporal, startWorkers } from '../../temporal.ts';
import { Worlds } from '../../workflows/world.ts';
import { House } from '../house.ts';

/** The loop's workflow on a server, with the activities that start cycles; the cycle itself has no world behind it. */
describe('monitor: the loop', function () {
  this.timeout(60_000);
  let env: TestWorkflowEnvironment;
  let workers: { stop(): Promise<void> };
  let house: House;
  let champion: Digest;
  const worlds = new Worlds();

  before(async () => {
    house = await House.open();
    env = await startTemporal();
    worlds.client = env.client;
    const { loadLoop, readPlan, openCycle } = createLoopActivities({ store: house.store, client: env.client });
    const { probeData } = createDataActivities({ store: house.store, ...house.programs });
    workers = await startWorkers(env, { ...worlds.activities(), loadLoop, readPlan, openCycle, probeData });
    champion = await house.model(constantModel(0.9));
    await house.crown(champion);
  });
  after(async () => {
    await workers?.stop();
    await env?.teardown();
    await house?.close();
  });

  let served = 0;
  const serve = async (count: number, answerOf: (n: number) => { label: string; score: number }) =>
    await house.answered(
      Array.from({ length: count }, () => {
        served += 1;
        return { inferenceId: `request-${served}`, model: champion, answer: answerOf(served) };
      }),
    );
  const usual = (n: number) => (n % 3 === 0 ? { label: 'spam', score: 0.9 } : { label: 'ham', score: (n % 50) / 100 });
  const shifted = (n: number) => (n % 8 === 0 ? { label: 'ham', score: 0.4 } : { label: 'spam', score: 0.95 });
  const watch = async () => {
    const ref = await house.store.refs.read(refNames.monitor('spam'));
    return ref && (await getJson(house.store, MonitorRecord, ref.digest)).answers;
  };

  it('requests like those before start no cycle; a shift starts one, with the reason', async () => {
    const specDigest = await house.apply({ data: { poll: '50ms' }, triggers: { drift: { window: 100 } } });
    const handle = await env.client.workflow.start(retrainingLoop, {
      workflowId: workflowIds.loop('spam'),
      taskQueue: taskQueues.control,
      args: [{ loop: 'spam', specDigest }],
    });
    await eventually('the monitor has begun', async () => (await watch()) !== undefined);
    for (let windows = 0; windows < 3; windows++) {
      await serve(100, usual);
      await eventually(`${windows} windows were compared`, async () => {
        const now = await watch();
        return now?.reference && now.windows >= windows;
      });
    }
    const calm = await handle.query(messages.loopStatusQuery);
    assert.deepEqual([calm.state, calm.queued, calm.finishedCycles], ['idle', null, 0]);

    await serve(100, shifted);
    await eventually(
      'a cycle has run',
      async () => (await handle.query(messages.loopStatusQuery)).finishedCycles === 1,
    );
    const [report] = worlds.of('spam').reports;
    assert.match(report?.reason ?? '', /^drift: (answers|scores), PSI \d\.\d\d on 100 rows against 100 /);
    // Two more windows like the shifted one: it is known by now.
    await serve(200, shifted);
    await eventually('they were compared', async () => ((await watch())?.windows ?? 0) >= 1);
    assert.equal((await handle.query(messages.loopStatusQuery)).finishedCycles, 1);
    await handle.terminate();
  });
});
