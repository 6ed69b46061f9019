import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Model } from '../../../src/contracts/manifests.ts';
import { mayPass } from '../../../src/serving/endpoint/desired/may-pass.ts';
import { ModelCache } from '../../../src/serving/endpoint/model-cache.ts';
import { getManifest, putManifest } from '../../../src/store/manifests.ts';
import { constantModel } from '../models.ts';
import { World } from '../world.ts';

describe('endpoint: int8 models and the CPU that judged them', () => {
  let world: World;
  before(async () => {
    world = await World.open();
  });
  after(() => world?.close());

  const measured = async (quantization: NonNullable<Model['quantization']>) => {
    const model = await getManifest(world.store, await world.model(constantModel(0.25)), 'Model');
    return await putManifest(world.store, { ...model, precision: 'int8', quantization });
  };

  it('refuses a model whose verdict rests on saturating sums, for good, and says what to do', async () => {
    const folder = join(world.folder, 'cache-instructions');
    await mkdir(folder);
    const cache = new ModelCache(folder, world.store);
    const saturating = { instructionSet: 'x64-avx2', weightBits: 8, x64QuantPrecision: false } as const;
    const refused = await measured(saturating);
    await assert.rejects(cache.folderOf(refused), (error: Error & { type?: string }) => {
      assert.equal(error.type, 'ModelNotServable');
      assert.match(error.message, /measured with x64-avx2 \(8-bit weights, saturating sums\)/);
      assert.match(error.message, /quantize with 7-bit weights, set session\.x64quantprecision, or judge it/);
      assert.equal(mayPass(error, 0), false);
      return true;
    });
    for (const exact of [
      { ...saturating, weightBits: 7 },
      { ...saturating, x64QuantPrecision: true },
      { ...saturating, instructionSet: 'arm64-dotprod' },
    ] as const)
      assert.ok(await cache.folderOf(await measured(exact)));
  });
});
