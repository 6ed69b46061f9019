import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import fc from 'fast-check';
import type { Digest } from '../../src/contracts/digest.ts';
import { CorruptBlob } from '../../src/store/errors.ts';
import type { FsOps } from '../../src/store/fs/fs-ops.ts';
import { collectGarbage } from '../../src/store/gc.ts';
import { putManifest } from '../../src/store/manifests.ts';
import type { KeptStore } from '../../src/store/upkeep.ts';
import { verifyStore } from '../../src/store/verify.ts';
import { AgeingStore, dayMs, digestsOf, point, put } from './ageing-store.ts';
import { dyingFs } from './fs/dying-fs.ts';
import { bytes, digestOfDigit, openedManifest, runManifest } from './samples.ts';

describe('garbage collection', () => {
  let ageing: AgeingStore;
  let store: KeptStore;
  beforeEach(async () => {
    ageing = new AgeingStore();
    store = await ageing.open();
  });

  it('keeps all that the newest entry of a ref reaches, however old, and deletes the rest', async () => {
    const rows = await put(store, '{"id":1}\n{"id":2}\n');
    const run = await putManifest(store, runManifest(rows));
    const opened = await putManifest(store, openedManifest(1, [run]));
    const model = await put(store, 'weights of the model that serves');
    const barred = await put(store, 'weights that a rollback barred');
    const desired = await put(store, `{"variants":[{"model":"${model}"}]}`);
    const list = await put(store, `a line\n{"barred":"${barred}"}\n`);
    const pinned = await put(store, 'pinned by an open cycle');
    await point(store, 'loops/spam/cycles', opened, 'cycle/1');
    await point(store, 'endpoints/mail/desired', desired, 'deploy/1');
    await point(store, 'endpoints/mail/barred', list, 'bar/1');
    await point(store, 'pins/spam/1', pinned, 'pin/1');
    const [one, two] = [await put(store, 'garbage'), await put(store, 'more garbage')];
    ageing.pass(1_000);

    const report = await collectGarbage(store, { now: ageing.now });
    const kept = [rows, run, opened, model, barred, desired, list, pinned].sort();
    assert.deepEqual(await digestsOf(store), kept);
    assert.deepEqual(report, { scanned: 10, reachable: 8, keptByAge: 0, deleted: 2, deletedBytes: 19, leftovers: 0 });
    assert.equal(await store.blobs.has(one), false);
    assert.equal(await store.blobs.has(two), false);
    assert.deepEqual((await verifyStore(store, { now: ageing.now })).problems, []);
  });

  it('keeps what is younger than a week, and what the young mention', async () => {
    const part = await put(store, 'part');
    ageing.pass(30);
    const whole = await put(store, `{"part":"${part}"}`);
    ageing.pass(6.9);
    const report = await collectGarbage(store, { now: ageing.now });
    assert.deepEqual([report.deleted, report.keptByAge], [0, 2]);
    ageing.pass(0.2);
    assert.equal((await collectGarbage(store, { now: ageing.now })).deleted, 2);
    assert.equal(await store.blobs.has(whole), false);
  });

  it('keeps a blob that was put again', async () => {
    const digest = await put(store, 'again');
    ageing.pass(30);
    await put(store, 'again');
    ageing.pass(6);
    await collectGarbage(store, { now: ageing.now });
    assert.equal(await store.blobs.has(digest), true);
  });

  it('keeps the past of a ref within retention, with the entry in force at its start', async () => {
    const versions = [
      await put(store, 'version 1'),
      await put(store, 'version 2'),
      await put(store, 'version 3'),
      await put(store, 'version 4'),
    ];
    for (const [i, version] of versions.entries()) {
      await point(store, 'models/spam/champion', version, `promote/${i + 1}`);
      ageing.pass(50);
    }
    // Day 200; in force: 1 from day 0, 2 from 50, 3 from 100, 4 from 150. Ninety days back is day 110.
    await collectGarbage(store, { now: ageing.now });
    const has = await Promise.all(versions.map((version) => store.blobs.has(version)));
    assert.deepEqual(has, [false, false, true, true]);
    await collectGarbage(store, { now: ageing.now, retentionMs: 49 * dayMs });
    assert.equal(await store.blobs.has(versions[2]!), false);
    assert.equal(await store.blobs.has(versions[3]!), true);
  });

  it('deletes nothing in a dry run, and says what it would', async () => {
    const digest = await put(store, 'garbage');
    ageing.pass(30);
    const dry = await collectGarbage(store, { now: ageing.now, dryRun: true });
    assert.equal(await store.blobs.has(digest), true);
    assert.deepEqual(await collectGarbage(store, { now: ageing.now }), dry);
    assert.equal(dry.deleted, 1);
  });

  it('deletes nothing when a document that it must read is damaged', async () => {
    const needed = await put(store, 'needed');
    const document = await put(store, `{"needs":"${needed}"}`);
    await point(store, 'a/ref', document, 'one');
    ageing.fs.flipBit(`/store/blobs/${document.slice(7, 9)}/${document.slice(7)}`);
    ageing.pass(30);
    await assert.rejects(collectGarbage(store, { now: ageing.now }), CorruptBlob);
    assert.equal(await store.blobs.has(needed), true);
  });

  it('finds a digest wherever it lies in a long document', async () => {
    // Around the 64 KiB at which a file stream cuts its chunks, in a stream cut at every place.
    const needed = await put(store, 'needed');
    for (let cut = 0; cut <= 80; cut += 8) {
      const document = await put(store, `{"text":"${'x'.repeat(100 + cut)}","needs":"${needed}"}`);
      await point(store, `a/cut-${cut}`, document, 'one');
      const chunked: FsOps = {
        ...ageing.fs,
        readStream: async (path) => {
          const whole = await ageing.fs.readWhole(path);
          return Readable.from([whole.subarray(0, 150), whole.subarray(150)]);
        },
      };
      ageing.pass(30);
      await collectGarbage(await ageing.open(chunked), { now: ageing.now, retentionMs: dayMs });
      assert.equal(await store.blobs.has(needed), true, `cut ${cut}`);
      await point(store, `a/cut-${cut}`, await put(store, '{}'), 'two');
    }
  });

  it('removes unfinished writes a day after their process died', async () => {
    const dying = dyingFs(ageing.fs, () => Promise.reject(new Error('dead')));
    const doomed = await ageing.open(dying.ops);
    dying.dieAt(5);
    await assert.rejects(doomed.blobs.put(bytes('unfinished')), /dead/);
    const unfinished = (): string[] => ageing.fs.paths().filter((path) => path.includes('/incoming/'));
    assert.equal(unfinished().length, 1);
    ageing.pass(0.9);
    assert.equal((await collectGarbage(store, { now: ageing.now })).leftovers, 0);
    ageing.pass(0.2);
    assert.equal((await collectGarbage(store, { now: ageing.now })).leftovers, 1);
    assert.deepEqual(unfinished(), []);
  });

  it('reaches exactly what a plain search of the same graph reaches', async () => {
    const graph = fc.array(fc.array(fc.nat(100), { maxLength: 3 }), { minLength: 1, maxLength: 15 });
    await fc.assert(
      fc.asyncProperty(graph, fc.array(fc.nat(100), { maxLength: 3 }), async (edges, roots) => {
        ageing = new AgeingStore();
        store = await ageing.open();
        const digests: Digest[] = [];
        // A document can only mention what was there before it.
        const targets = edges.map((to, i) => to.filter(() => i > 0).map((n) => n % Math.max(1, i)));
        for (const [i, to] of targets.entries())
          digests.push(await put(store, JSON.stringify({ i, needs: to.map((n) => digests[n]) })));
        const reached = new Set(roots.map((n) => n % edges.length));
        for (const root of reached) await point(store, `roots/${root}`, digests[root]!, 'one');
        for (const n of reached) for (const to of targets[n]!) reached.add(to);
        ageing.pass(1_000);
        await collectGarbage(store, { now: ageing.now });
        assert.deepEqual(await digestsOf(store), [...reached].map((n) => digests[n]!).sort());
      }),
      { numRuns: 50, seed: 7 },
    );
  });

  it('never needs a blob of the digests that name none', async () => {
    await point(store, 'a/ref', await put(store, `{"programDigest":"${digestOfDigit('7')}"}`), 'one');
    ageing.pass(30);
    assert.equal((await collectGarbage(store, { now: ageing.now })).reachable, 1);
  });
});
