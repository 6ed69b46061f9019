import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import { pino } from 'pino';
import { type RunningEndpoint, startEndpoint } from '../../../src/serving/endpoint/main.ts';
import { getManifest } from '../../../src/store/manifests.ts';
import { signingKey } from '../../../src/store/signing/keys.ts';
import { recordSignature } from '../../../src/store/signing/registry.ts';
import { invoke } from '../client.ts';
import { constantModel } from '../models.ts';
import { until } from '../waiting.ts';
import { statusOf, World } from '../world.ts';

describe('endpoint: models must be signed', () => {
  let world: World;
  let endpoint: RunningEndpoint;
  const { privateKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const key = signingKey(privateKey, 'test key');

  before(async () => {
    world = await World.open();
    endpoint = await startEndpoint({
      ...{ endpoint: world.endpoint, replica: 'r1', storeUrl: world.store.url, port: 0 },
      cacheFolder: join(world.folder, 'cache-signed'),
      log: pino({ level: 'silent' }),
      limits: { desiredPollMs: 20, flushEveryMs: 50 },
      signing: { required: true, trusted: [key] },
    });
  });
  after(async () => {
    await endpoint?.close();
    await world?.close();
  });

  it('serves a signed one, refuses one that is not and serves on, and takes it once it is signed', async () => {
    const row = { x: 1, y: 1 };
    const signed = await world.model(constantModel(0.25));
    await recordSignature(world.store, signed, await getManifest(world.store, signed, 'Model'), key);
    await world.deployAndWait(endpoint, { model: signed });

    const unsigned = await world.model(constantModel(0.75));
    const generation = await world.deploy({ model: unsigned });
    const { error } = await until('the replica says that it does not follow', async () => {
      const status = await statusOf(endpoint);
      return status.error?.generation === generation ? status : undefined;
    });
    assert.match(error!.message, /it is not signed/);
    assert.ok(error!.message.includes(unsigned));
    assert.equal((await invoke(endpoint, row)).predictions[0]!.score.toFixed(2), '0.25');

    await recordSignature(world.store, unsigned, await getManifest(world.store, unsigned, 'Model'), key);
    const next = await world.deploy({ model: unsigned });
    await world.serves(endpoint, next);
    assert.equal((await invoke(endpoint, row)).predictions[0]!.score.toFixed(2), '0.75');
  });
});
