import assert from 'node:assert/strict';
import { type FsOps, interceptFs } from '../../src/store/fs/fs-ops.ts';
import { collectGarbage } from '../../src/store/gc.ts';
import { putManifest } from '../../src/store/manifests.ts';
import type { KeptStore } from '../../src/store/upkeep.ts';
import { verifyStore } from '../../src/store/verify.ts';
import { AgeingStore, digestsOf, point, put } from './ageing-store.ts';
import { dyingFs } from './fs/dying-fs.ts';
import { openedManifest, runManifest } from './samples.ts';

describe('garbage collection beside writers', () => {
  let ageing: AgeingStore;
  let store: KeptStore;
  beforeEach(async () => {
    ageing = new AgeingStore();
    store = await ageing.open();
  });

  /** Runs `interfere` once, before or after the first blob is moved aside. */
  const interrupted = (when: 'before' | 'after', interfere: () => Promise<unknown>): FsOps => {
    let fired = false;
    return interceptFs(ageing.fs, async (operation, path, run) => {
      const now = operation === 'rename' && path.includes('/condemned/') && !fired;
      if (now) fired = true;
      if (now && when === 'before') await interfere();
      const answer = await run();
      if (now && when === 'after') await interfere();
      return answer;
    });
  };

  for (const when of ['before', 'after'] as const)
    it(`keeps a blob that is put again just ${when} it is moved aside`, async () => {
      const digest = await put(store, 'wanted again');
      ageing.pass(30);
      const collecting = await ageing.open(interrupted(when, () => put(store, 'wanted again')));
      await collectGarbage(collecting, { now: ageing.now });
      assert.equal(Buffer.from(await store.blobs.read(digest)).toString(), 'wanted again');
      assert.deepEqual(
        ageing.fs.paths().filter((path) => path.includes('/condemned/')),
        [],
      );
    });

  it('brings back a blob that a killed collection had moved aside while it was put', async () => {
    const digest = await put(store, 'wanted again');
    ageing.pass(30);
    const killed = interrupted('before', () => put(store, 'wanted again'));
    const dying = dyingFs(killed, () => Promise.reject(new Error('dead')));
    const collecting = await ageing.open({
      ...dying.ops,
      rename: async (from, to) => {
        await dying.ops.rename(from, to);
        dying.dieAt(1);
      },
    });
    await assert.rejects(collectGarbage(collecting, { now: ageing.now }), /dead/);
    assert.equal(await store.blobs.has(digest), false);
    await collectGarbage(store, { now: ageing.now });
    assert.equal(await store.blobs.has(digest), true);
  });

  it('keeps what a ref points to by the time its turn has come', async () => {
    const revived = await put(store, 'revived');
    ageing.pass(1);
    for (let i = 0; i < 210; i += 1) await put(store, `garbage ${i}`);
    ageing.pass(30);
    const collecting = await ageing.open(interrupted('before', () => point(store, 'a/ref', revived, 'one')));
    const report = await collectGarbage(collecting, { now: ageing.now });
    assert.equal(report.deleted, 210);
    assert.deepEqual(await digestsOf(store), [revived]);
  });

  it('leaves a good store when it is killed at any call', async () => {
    let deaths = 0;
    for (let call = 1; ; call += 1) {
      ageing = new AgeingStore();
      store = await ageing.open();
      const rows = await put(store, 'rows');
      const run = await putManifest(store, runManifest(rows));
      await point(store, 'loops/spam/dataset', run, 'one');
      const part = await put(store, 'part');
      ageing.pass(1);
      const whole = await putManifest(store, runManifest(part));
      ageing.pass(1);
      await putManifest(store, openedManifest(1, [whole, run]));
      ageing.pass(30);
      const dying = dyingFs(ageing.fs, () => Promise.reject(new Error('dead')));
      const collecting = await ageing.open(dying.ops);
      dying.dieAt(call);
      const died = await collectGarbage(collecting, { now: ageing.now }).then(
        () => false,
        () => true,
      );
      const restarted = await ageing.open();
      // Also among the garbage, no document has outlived its parts.
      assert.deepEqual((await verifyStore(restarted, { now: ageing.now })).problems, []);
      await collectGarbage(restarted, { now: ageing.now });
      assert.deepEqual(await digestsOf(restarted), [rows, run].sort());
      assert.deepEqual((await verifyStore(restarted, { now: ageing.now })).problems, []);
      if (!died) break;
      deaths += 1;
    }
    assert.ok(deaths > 20, `${deaths} crash points`);
  });
});
