import assert from 'node:assert/strict';
import { z } from 'zod';
import { DesiredState } from '../../src/contracts/endpoint.ts';
import type { Manifest } from '../../src/contracts/manifests.ts';
import { canonicalBytes } from '../../src/store/canonical-json.ts';
import { CorruptBlob, InvalidInput, NotFound } from '../../src/store/errors.ts';
import { openFsStore } from '../../src/store/fs/store.ts';
import {
  getAnyManifest,
  getJson,
  getManifest,
  maxDocumentBytes,
  putJson,
  putManifest,
} from '../../src/store/manifests.ts';
import type { KeptStore } from '../../src/store/upkeep.ts';
import { PowerCutFs } from './fs/power-cut-fs.ts';
import { bytes, collect, digestOfDigit, openedManifest, runManifest } from './samples.ts';

describe('manifests', () => {
  let fs: PowerCutFs;
  let store: KeptStore;
  beforeEach(async () => {
    fs = new PowerCutFs();
    store = await openFsStore('/store', { ops: fs });
  });

  it('come back as they were put, under one digest for one content', async () => {
    const manifest = runManifest(digestOfDigit('1'), [digestOfDigit('2')]);
    const digest = await putManifest(store, manifest);
    assert.equal(await putManifest(store, JSON.parse(JSON.stringify(manifest)) as Manifest), digest);
    const found = await getManifest(store, digest, 'Run');
    assert.equal(found.hyperparameters.epochs, '3');
    assert.deepEqual(found, manifest);
    assert.deepEqual(await getAnyManifest(store, digest), manifest);
  });

  it('are refused with the field named, and nothing is stored', async () => {
    const bad = { ...runManifest(digestOfDigit('1')), attempts: 0, extra: true } as unknown as Manifest;
    await assert.rejects(putManifest(store, bad), (error: unknown) => {
      return error instanceof InvalidInput && error.message.includes('attempts') && error.message.includes('extra');
    });
    assert.deepEqual(await collect(store.upkeep.blobs()), []);
  });

  it('of another kind are refused with digest, field and both kinds', async () => {
    const digest = await putManifest(store, openedManifest(1));
    await assert.rejects(getManifest(store, digest, 'Model'), (error: unknown) => {
      assert.ok(error instanceof InvalidInput);
      for (const part of [digest, 'field kind', 'Model', '"CycleOpened"'])
        assert.ok(error.message.includes(part), error.message);
      return true;
    });
  });

  it('that are none are refused, never guessed', async () => {
    const wrongField = await store.blobs.put(canonicalBytes({ ...openedManifest(1), cycle: 'one' }));
    await assert.rejects(getManifest(store, wrongField, 'CycleOpened'), /sha256:.*CycleOpened.*cycle/);
    for (const body of ['null', '[]', '"Model"', '{"kind":7}', 'rows', '']) {
      const digest = await store.blobs.put(bytes(body));
      await assert.rejects(getManifest(store, digest, 'Model'), InvalidInput, body);
      await assert.rejects(getAnyManifest(store, digest), InvalidInput, body);
    }
  });

  it('that are missing, changed or far too big say so', async () => {
    await assert.rejects(getManifest(store, digestOfDigit('9'), 'Model'), NotFound);
    const digest = await putManifest(store, openedManifest(1));
    fs.flipBit(`/store/blobs/${digest.slice(7, 9)}/${digest.slice(7)}`);
    await assert.rejects(getManifest(store, digest, 'CycleOpened'), CorruptBlob);
    const big = await store.blobs.put(new Uint8Array(maxDocumentBytes + 1));
    await assert.rejects(getManifest(store, big, 'Model'), /at most/);
  });

  it('share their rules with every other small document', async () => {
    const desired: DesiredState = {
      schema: 'goto3/desired/v1',
      endpoint: 'mail',
      generation: 3,
      variants: [{ name: 'stable', model: digestOfDigit('a'), weight: 100, shadow: false }],
      frozen: null,
    };
    const digest = await putJson(store, DesiredState, desired);
    assert.deepEqual(await getJson(store, DesiredState, digest), desired);
    await assert.rejects(putJson(store, DesiredState, { ...desired, generation: 0 }), /generation/);
    await assert.rejects(getJson(store, z.strictObject({ cursor: z.string() }), digest), /sha256:.*cursor/);
  });
});
