import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../../src/contracts/digest.ts';
import { inferenceHeaders } from '../../../src/contracts/endpoint.ts';
import { invoke, Load } from '../client.ts';
import { constantModel } from '../models.ts';
import { until } from '../waiting.ts';
import { statusOf, World } from '../world.ts';

const row = { x: 1, y: 1 };

describe('endpoint: swapping models', () => {
  let world: World;
  beforeEach(async () => {
    world = await World.open();
  });
  afterEach(() => world.close());

  it('swaps ten models and replaces the inference process under load without a failed request', async () => {
    const endpoint = await world.start({ swapsPerProcess: 4 });
    const shares = Array.from({ length: 11 }, (_, index) => (index + 1) / 100);
    const models: Digest[] = [];
    for (const share of shares) models.push(await world.model(constantModel(share)));
    await world.deployAndWait(endpoint, { model: models[0]! });
    const firstPid = (await statusOf(endpoint)).inference.pid;

    const load = new Load(endpoint, 4);
    for (const [index, model] of models.entries()) {
      if (index === 0) continue;
      // As in a rollout: the candidate beside the stable one, then alone.
      await world.deployAndWait(
        endpoint,
        { model: models[index - 1]!, weight: 50 },
        { name: 'candidate', model, weight: 50 },
      );
      await world.deployAndWait(endpoint, { model });
      const after = await invoke(endpoint, row);
      assert.equal(
        Math.round(after.predictions[0]!.score * 100),
        index + 1,
        'the new model answers once it is reported',
      );
    }
    await load.stop();

    assert.deepEqual(load.failures, []);
    assert.deepEqual(new Set(load.replies.map(({ status }) => status)), new Set([200]));
    const answered = new Set(load.replies.map(({ predictions }) => Math.round(predictions[0]!.score * 100)));
    assert.ok(answered.size > 5, `${load.replies.length} answers by ${answered.size} models`);
    const { inference } = await statusOf(endpoint);
    assert.ok(inference.replacements >= 2, `${inference.replacements} replacements`);
    assert.notEqual(inference.pid, firstPid);
    assert.equal(inference.crashes, 0);

    await world.stop(endpoint);
    const answers = (await world.captures()).filter(({ answer }) => answer !== null);
    assert.equal(answers.length, load.replies.length + 10, 'one record per answer');
    for (const { model, answer } of answers)
      assert.equal(
        models.indexOf(model as Digest) + 1,
        Math.round(answer!.score * 100),
        'the record names the model that answered',
      );
  });

  it('goes on with the old generation when the new one cannot be served, and takes the next good one', async () => {
    const endpoint = await world.start();
    const good = await world.model(constantModel(0.2));
    await world.deployAndWait(endpoint, { model: good });
    const broken = await world.model(Buffer.from('<html>404</html>'));

    const cases: [name: string, deploy: () => Promise<unknown>, message: RegExp][] = [
      ['a model that does not load', () => world.deploy({ model: broken }), /model.onnx does not load/],
      ['a model that is not in the store', () => world.deploy({ model: `sha256:${'0'.repeat(64)}` }), /no blob/],
      ['names that are not distinct', () => world.deploy({ model: good }, { model: good }), /not distinct/],
      ['a name that is no header value', () => world.deploy({ name: 'a\nb', model: good }), /expected a name/],
      ['no variant with weight', () => world.deploy({ model: good, weight: 0 }), /no variant has weight/],
      ['something else', async () => world.moveDesired(await world.store.blobs.put(Buffer.from('{}'))), /schema/],
      ['no JSON', async () => world.moveDesired(await world.store.blobs.put(Buffer.from('<html>'))), /not JSON/],
    ];
    for (const [name, deploy, message] of cases) {
      await deploy();
      await until(`${name} is reported`, async () => message.test((await statusOf(endpoint)).error?.message ?? ''));
      assert.equal((await statusOf(endpoint)).generation, 1);
      assert.equal((await fetch(`${endpoint.url}/ping`)).status, 200);
      assert.equal((await invoke(endpoint, row)).status, 200);
    }
    const next = await world.deployAndWait(endpoint, { model: await world.model(constantModel(0.9)) });
    assert.equal((await statusOf(endpoint)).error, undefined);
    assert.equal((await statusOf(endpoint)).generation, next);
  });

  it('follows the ref back to an older blob: break-glass', async () => {
    const endpoint = await world.start();
    const [old, bad] = [await world.model(constantModel(0.2)), await world.model(constantModel(0.9))];
    await world.deployAndWait(endpoint, { model: old });
    const before = (await world.store.refs.read('endpoints/mail/desired'))!;
    await world.deployAndWait(endpoint, { model: old, weight: 0 }, { name: 'candidate', model: bad });
    await world.moveDesired(before.digest);
    await world.serves(endpoint, 1);
    assert.equal((await invoke(endpoint, row)).headers[inferenceHeaders.invokedVariant], 'stable');
  });

  it('serves the same generation after a restart, also from an emptied cache', async () => {
    const first = await world.start();
    const generation = await world.deployAndWait(first, { model: await world.model(constantModel(0.4)) });
    await world.stop(first);
    const second = await world.start();
    await world.serves(second, generation);
    await world.stop(second);
    await rm(join(world.folder, 'cache-r1'), { recursive: true });
    const third = await world.start();
    await world.serves(third, generation);
    assert.equal(Math.round((await invoke(third, row)).predictions[0]!.score * 10), 4);
  });
});
