import assert from 'node:assert/strict';
import { inferenceHeaders } from '../../../src/contracts/endpoint.ts';
import { refNames } from '../../../src/contracts/names.ts';
import type { RunningEndpoint } from '../../../src/serving/endpoint/main.ts';
import { invoke, Load } from '../client.ts';
import { constantModel, numericSignature, slowModel } from '../models.ts';
import { until } from '../waiting.ts';
import { statusOf, World } from '../world.ts';

const row = { x: 1, y: 1 };
const tenths = (score: number): number => Math.round(score * 10) / 10;

describe('endpoint: serving', () => {
  let world: World;
  let endpoint: RunningEndpoint;
  before(async () => {
    world = await World.open();
    endpoint = await world.start();
  });
  after(() => world.close());

  it('has metrics before it has a model', async () => {
    const response = await fetch(`${endpoint.url}/metrics`);
    assert.equal(response.status, 200);
    assert.match(await response.text(), /goto3_endpoint_inference_processes\{event="crashes"\} 0/);
  });

  it('splits traffic by weight, the same way for the same id', async () => {
    const [stable, candidate] = [await world.model(constantModel(0.2)), await world.model(constantModel(0.8))];
    await world.deployAndWait(
      endpoint,
      { model: stable, weight: 75 },
      { name: 'candidate', model: candidate, weight: 25 },
      { name: 'warm', model: stable, weight: 0 },
    );
    const variantOf = async (id: string): Promise<unknown> => {
      const reply = await invoke(endpoint, row, { [inferenceHeaders.inferenceId]: id });
      const variant = reply.headers[inferenceHeaders.invokedVariant];
      assert.equal(tenths(reply.predictions[0]!.score), variant === 'candidate' ? 0.8 : 0.2);
      return variant;
    };
    const ids = Array.from({ length: 800 }, (_, index) => `request-${index}`);
    const first = await Promise.all(ids.map(variantOf));
    const toCandidate = first.filter((variant) => variant === 'candidate').length;
    // 200 expected, standard deviation 12.2; the ids are fixed, so this never varies.
    assert.ok(toCandidate > 150 && toCandidate < 250, `candidate got ${toCandidate} of 800`);
    assert.deepEqual(await Promise.all(ids.slice(0, 100).map(variantOf)), first.slice(0, 100));

    for (const name of ['candidate', 'warm']) {
      const asked = await invoke(endpoint, row, { [inferenceHeaders.targetVariant]: name });
      assert.equal(asked.headers[inferenceHeaders.invokedVariant], name);
    }
    const unknown = await invoke(endpoint, row, { [inferenceHeaders.targetVariant]: 'other' });
    assert.equal(unknown.status, 400);
    assert.match(unknown.error!.message, /expected one of: stable, candidate, warm/);
  });

  it('captures one record per answer, of shadows too, and marks background traffic', async () => {
    const [stable, old] = [await world.model(constantModel(0.3)), await world.model(constantModel(0.9))];
    const deployed = await world.deployAndWait(
      endpoint,
      { model: stable },
      { name: 'frozen', model: old, weight: 0, shadow: true },
    );
    const asked = await invoke(endpoint, row, { [inferenceHeaders.targetVariant]: 'frozen' });
    assert.equal(asked.status, 400, 'a shadow cannot be asked for');

    for (let index = 0; index < 40; index++) {
      const reply = await invoke(endpoint, row, {
        [inferenceHeaders.inferenceId]: `mail-${index}`,
        ...(index % 2 === 0 && { [inferenceHeaders.customAttributes]: 'source=replay, traffic=background' }),
      });
      assert.equal(reply.headers[inferenceHeaders.invokedVariant], 'stable');
      assert.equal(tenths(reply.predictions[0]!.score), 0.3);
    }
    await invoke(endpoint, { instances: [row, row] }, { [inferenceHeaders.inferenceId]: 'pair' });

    const captures = await world.capturesOf(deployed, 84);
    const byShadow = (shadow: boolean) => captures.filter((record) => record.shadow === shadow);
    const ids = [...Array.from({ length: 40 }, (_, index) => `mail-${index}`), 'pair#0', 'pair#1'].sort();
    for (const shadow of [false, true])
      assert.deepEqual(
        byShadow(shadow)
          .map(({ inferenceId }) => inferenceId)
          .sort(),
        ids,
      );
    for (const record of captures) {
      const { variant, model, generation, answer, background, inferenceId, latencyMs } = record;
      assert.deepEqual([variant, model], record.shadow ? ['frozen', old] : ['stable', stable]);
      assert.equal(tenths(answer!.score), record.shadow ? 0.9 : 0.3);
      assert.equal(background, /^mail-\d*[02468]$/.test(inferenceId));
      assert.equal(generation, deployed);
      assert.ok(latencyMs > 0);
    }
  });

  it('captures a failed answer as an error of its variant', async () => {
    const model = await world.model(constantModel(0.3), {
      ...numericSignature,
      preprocessing: { kind: 'numeric', features: ['x', 'other'] },
    });
    const deployed = await world.deployAndWait(endpoint, { model });
    const reply = await invoke(endpoint, row, { [inferenceHeaders.inferenceId]: 'mail-1' });
    assert.equal(reply.status, 400);
    assert.match(reply.error!.message, /other/);
    assert.equal(reply.headers[inferenceHeaders.invokedVariant], 'stable');
    const [record] = await world.capturesOf(deployed, 1);
    assert.equal(record!.error, 'InvalidInput');
    assert.equal(record!.answer, null);
  });

  it('fails nobody else for one bad row of a batch', async () => {
    await world.deployAndWait(endpoint, { model: await world.model(slowModel(0.6, 600)) });
    const bodies = Array.from({ length: 60 }, (_, index) => (index % 10 === 7 ? { x: 1 } : row));
    const replies = await Promise.all(bodies.map((body) => invoke(endpoint, body)));
    assert.deepEqual(
      replies.map(({ status }) => status),
      bodies.map((body) => ('y' in body ? 200 : 400)),
    );
  });

  it('makes batches of what waits, without a timer', async () => {
    const model = await world.model(slowModel(0.6));
    await world.deployAndWait(endpoint, { model });
    const load = new Load(endpoint, 32);
    await until('enough requests are answered', () => load.replies.length > 200);
    await load.stop();
    assert.ok(load.replies.every(({ status }) => status === 200));
    const metrics = await (await fetch(`${endpoint.url}/metrics`)).text();
    const read = (name: string): number =>
      Number(
        new RegExp(`goto3_endpoint_batch_rows_${name}\\{model="${model.slice(7, 19)}"\\} (\\d+)`).exec(metrics)![1],
      );
    assert.equal(read('sum'), load.replies.length);
    assert.ok(read('sum') / read('count') > 4, `${read('sum')} rows in ${read('count')} batches`);
  });
});

describe('endpoint: start, limits and end', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.open();
  });
  afterEach(() => world.close());

  it('answers what the store desires, and nothing before', async () => {
    const endpoint = await world.start();
    assert.equal((await fetch(`${endpoint.url}/ping`)).status, 503);
    const early = await invoke(endpoint, row);
    assert.equal(early.status, 503);
    assert.equal(early.headers['retry-after'], '1');

    const model = await world.model(constantModel(0.7));
    await world.deployAndWait(endpoint, { model });
    assert.equal((await fetch(`${endpoint.url}/ping`)).status, 200);

    const one = await invoke(endpoint, row, { [inferenceHeaders.inferenceId]: 'mail-1' });
    assert.equal(one.status, 200);
    assert.equal(one.predictions[0]!.label, 'spam');
    assert.equal(tenths(one.predictions[0]!.score), 0.7);
    assert.equal(one.headers[inferenceHeaders.inferenceId], 'mail-1');
    assert.equal(one.headers[inferenceHeaders.invokedVariant], 'stable');
    const many = await invoke(endpoint, { instances: Array.from({ length: 100 }, () => row) });
    assert.equal(many.predictions.length, 100);
    assert.match(String(many.headers[inferenceHeaders.inferenceId]), /^[0-9a-f-]{36}$/);

    const status = await statusOf(endpoint);
    assert.deepEqual(status.variants, [{ name: 'stable', model, weight: 100, shadow: false, ready: true }]);
    assert.equal(status.generation, 1);
    assert.equal(status.inference.crashes, 0);
    const metrics = await (await fetch(`${endpoint.url}/metrics`)).text();
    assert.match(metrics, /goto3_endpoint_requests_total\{variant="stable",model="[0-9a-f]{12}",shadow="false"\} 2/);
    assert.match(metrics, /goto3_endpoint_generation 1/);
  });

  it('refuses what does not fit into the queue, at once, and answers the rest', async () => {
    const endpoint = await world.start({ maxWaiting: 10, maxBatchRows: 4 });
    await world.deployAndWait(endpoint, { model: await world.model(slowModel(0.6)) });
    const replies = await Promise.all(Array.from({ length: 60 }, () => invoke(endpoint, row)));
    const statuses = new Set(replies.map(({ status }) => status));
    assert.deepEqual(statuses, new Set([200, 503]));
    const refused = replies.find(({ status }) => status === 503)!;
    assert.equal(refused.headers['retry-after'], '1');
    assert.equal(refused.error!.type, 'Overloaded');
  });

  it('answers 504 when the time is over', async () => {
    const endpoint = await world.start({ answerTimeoutMs: 1 });
    await world.deployAndWait(endpoint, { model: await world.model(slowModel(0.6)) });
    // So many rows that no CPU is done with them within a millisecond.
    const reply = await invoke(endpoint, { instances: Array.from({ length: 400 }, () => row) });
    assert.equal(reply.status, 504);
    assert.equal(reply.error!.type, 'DeadlineExceeded');
  });

  it('registers itself and says when it leaves in good order', async () => {
    const endpoint = await world.start();
    const read = async () => {
      const ref = await world.store.refs.read(refNames.replica('mail', 'r1'));
      return JSON.parse(Buffer.from(await world.store.blobs.read(ref!.digest)).toString('utf8'));
    };
    const running = await read();
    assert.equal(running.url, endpoint.url);
    assert.equal(running.stoppedAt, undefined);
    await world.stop(endpoint);
    assert.equal((await read()).startedAt, running.startedAt);
    assert.ok((await read()).stoppedAt >= running.startedAt);
    const again = await world.start();
    assert.equal((await read()).url, again.url);
  });
});
