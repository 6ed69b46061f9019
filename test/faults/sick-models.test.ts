import assert from 'node:assert/strict';
import { inferenceHeaders } from '../../src/contracts/endpoint.ts';
import { invoke, Load, type Reply } from '../serving/client.ts';
import { constantModel } from '../serving/models.ts';
import { healthyBelow, sickModel } from '../serving/sick-models.ts';
import { until } from '../serving/waiting.ts';
import { statusOf, World } from '../serving/world.ts';

const line = { wx: 1, wy: 1, bias: 0 };
const healthy = { x: 1, y: 1 };

describe('endpoint: a model that harms its process', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.open();
  });
  afterEach(() => world.close());

  it('dies alone from the second time on, and its neighbour fails no request', async () => {
    const endpoint = await world.start({ answerTimeoutMs: 20_000 });
    const neighbour = { name: 'current', model: await world.model(constantModel(0.9)), weight: 100 };
    const candidate = { name: 'candidate', model: await world.model(sickModel('dies', line)), weight: 0 };
    await world.deployAndWait(endpoint, neighbour, candidate);
    const askCandidate = (row: object) => invoke(endpoint, row, { [inferenceHeaders.targetVariant]: 'candidate' });
    const load = new Load(endpoint, 2);
    const deadly = { x: healthyBelow + 1, y: 0 };
    assert.equal((await askCandidate(deadly)).status, 503, 'it killed its process twice');
    assert.equal((await askCandidate(healthy)).status, 200, 'it comes back');
    const shared = (await statusOf(endpoint)).inference;
    assert.equal(shared.crashes, 2);
    assert.equal((await askCandidate(deadly)).status, 503);
    const { crashes, pid } = (await statusOf(endpoint)).inference;
    assert.deepEqual([crashes, pid], [4, shared.pid], 'the process of the others lives on');
    await load.stop();
    assert.deepEqual(load.failures, []);
    assert.deepEqual(new Set(load.replies.map(({ status }) => status)), new Set([200]));
  }).timeout(60_000);

  it('dies so often that it stays away for longer than a caller waits: they hear it at once, with when to ask again', async () => {
    const answerTimeoutMs = 2_000;
    const endpoint = await world.start({ answerTimeoutMs });
    await world.deployAndWait(endpoint, { model: await world.model(sickModel('dies', line)) });
    const deadly = { x: healthyBelow + 1, y: 0 };
    const retryAfterOf = ({ headers }: Reply): number => Number(headers['retry-after']);
    // Away for 0, 400, 800, 1600 and then 3200 ms.
    const isAway = async (): Promise<boolean> => retryAfterOf(await invoke(endpoint, deadly)) > 1;
    await until('it is away for longer than that', isAway, { withinMs: 30_000 });
    const askedAtMs = performance.now();
    const refusal = await invoke(endpoint, healthy);
    assert.deepEqual([refusal.status, refusal.error?.type], [503, 'InferenceCrashed']);
    assert.ok(performance.now() - askedAtMs < answerTimeoutMs / 2, 'at once');
    await until('it is back', async () => (await invoke(endpoint, healthy)).status === 200, { everyMs: 100 });
    assert.ok(performance.now() - askedAtMs < 1_000 * retryAfterOf(refusal) + 5_000, 'about when it was said');
  }).timeout(60_000);

  it('that grows and grows is given a new one, and nobody notices', async () => {
    const endpoint = await world.start({ mostGrowthBytes: 100 * 2 ** 20 });
    await world.deployAndWait(endpoint, { model: await world.model(sickModel('leaks', line)) });
    const before = (await statusOf(endpoint)).inference;
    await until('its memory has been measured', async () => {
      // What one request took the next, larger one cannot use again: after these it has grown by 300 MiB and more.
      for (const x of [60, 80, 100, 120]) assert.equal((await invoke(endpoint, { x, y: 0 })).status, 200);
      return (await statusOf(endpoint)).inference.replacements > 0;
    });
    const after = (await statusOf(endpoint)).inference;
    assert.equal(after.crashes, 0);
    assert.notEqual(after.pid, before.pid);
    assert.equal((await invoke(endpoint, healthy)).status, 200);
  }).timeout(60_000);
});
