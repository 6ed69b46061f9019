import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { digestOf } from '../../../src/store/canonical-json.ts';
import { retainCaptures } from '../../../src/store/capture-retention.ts';
import { collectGarbage } from '../../../src/store/gc.ts';
import { putManifest } from '../../../src/store/manifests.ts';
import { openBucket } from '../../../src/store/s3/store.ts';
import type { KeptStore } from '../../../src/store/upkeep.ts';
import { verifyStore } from '../../../src/store/verify.ts';
import { digestsOf, point, put } from '../../store/ageing-store.ts';
import { capture, collect, openedManifest, runManifest } from '../../store/samples.ts';
import { BucketOfTest } from '../../support/versitygw/bucket.ts';

describe('collection and verification in a bucket', () => {
  let bucket: BucketOfTest;
  let store: KeptStore;
  beforeEach(async () => {
    bucket = await BucketOfTest.start();
    store = await bucket.open();
  });
  afterEach(() => bucket.stop());
  const ageAll = async (days: number): Promise<void> => {
    for (const digest of await digestsOf(store)) await bucket.age(digest, days);
  };

  it('keeps what a ref reaches and what is young, and deletes the rest', async () => {
    const rows = await put(store, '{"id":1}\n');
    const run = await putManifest(store, runManifest(rows));
    const opened = await putManifest(store, openedManifest(1, [run]));
    await point(store, 'loops/spam/cycles', opened, 'cycle/1');
    await put(store, 'garbage');
    await ageAll(30);
    const young = await put(store, 'young');
    const report = await collectGarbage(store);
    assert.deepEqual(report, { scanned: 5, reachable: 3, keptByAge: 1, deleted: 1, deletedBytes: 7, leftovers: 0 });
    assert.deepEqual(await digestsOf(store), [rows, run, opened, young].sort());
    assert.deepEqual((await verifyStore(store)).problems, []);
  });

  it('keeps a week from the last put, although a put within a day sends nothing', async () => {
    const digest = await put(store, 'put twice');
    await bucket.age(digest, 7.5);
    assert.equal((await collectGarbage(store)).deleted, 0);
    await bucket.age(digest, 8.1);
    assert.equal((await collectGarbage(store)).deleted, 1);
  });

  it('keeps a blob that is put again before the collection leaves its mark', async () => {
    const digest = await put(store, 'wanted again');
    await bucket.age(digest, 30);
    const writer = await bucket.open();
    let putting: Promise<unknown> | undefined;
    bucket.proxy.rule = async ({ method, url = '' }): Promise<'pass'> => {
      if (method === 'PUT' && url.includes('/condemned/') && !putting) {
        putting = put(writer, 'wanted again');
        await putting;
      }
      return 'pass';
    };
    assert.equal((await collectGarbage(store)).deleted, 0);
    assert.ok(putting, 'the writer came');
    assert.equal(Buffer.from(await store.blobs.read(digest)).toString(), 'wanted again');
  });

  it('has a blob again that is put after the collection has looked at its age for the last time', async () => {
    const digest = await put(store, 'wanted again');
    await bucket.age(digest, 30);
    const writer = await bucket.open();
    let putting: Promise<unknown> | undefined;
    const looksForMarks = (line: string): boolean => line.startsWith('GET') && line.includes('condemned');
    bucket.proxy.rule = async ({ method, url = '' }): Promise<'pass'> => {
      if (method === 'DELETE' && url.includes('/blobs/') && !putting) {
        bucket.proxy.requests.length = 0;
        putting = put(writer, 'wanted again');
        // The writer has renewed the object; the deletion goes on behind it, and takes it away.
        while (!bucket.proxy.requests.some(looksForMarks)) await new Promise((wake) => setImmediate(wake));
      }
      return 'pass';
    };
    assert.equal((await collectGarbage(store)).deleted, 1);
    await putting;
    assert.ok(putting, 'the writer came');
    assert.equal(Buffer.from(await store.blobs.read(digest)).toString(), 'wanted again');
  });

  it('finds bytes that are not what their name says, past the cache', async () => {
    const cached = await bucket.open();
    const digest = await put(cached, 'right bytes');
    await cached.blobs.read(digest);
    await writeFile(bucket.fileOf(digest), 'wrong bytes');
    const { problems } = await verifyStore(cached);
    assert.deepEqual(
      problems.map(({ what, where }) => [what, where]),
      [['corruptBlob', digest]],
    );
  });

  it('packs captures, drops old ones, and reads them as before', async () => {
    const hourMs = 3_600_000;
    // A pack is closed at 4 MiB: a few fat segments, and two that are left over.
    const append = async (rows: number): Promise<void> =>
      await store.captures.append(
        'mail',
        'r1',
        Array.from({ length: rows }, (_, i) => ({ ...capture(`row-${i}`), timeMs: Date.now() - 2 * hourMs })),
      );
    for (const rows of [12_000, 12_000, 3, 2]) await append(rows);
    const before = (await store.captures.read('mail', undefined, 30_000)).records;
    assert.deepEqual(await store.upkeep.captures.pack('mail'), { segments: 2, packs: 1 });
    assert.deepEqual((await store.captures.read('mail', undefined, 30_000)).records, before);
    assert.equal(await store.captures.tail('mail'), JSON.stringify({ r1: 4 }));
    const [report] = await retainCaptures(store, { retentionMs: hourMs });
    assert.equal(report!.droppedPacks, 1);
    assert.equal((await store.captures.read('mail', undefined, 30_000)).records.length, 5);
  });

  it('lists page by page', async () => {
    const { bucket: raw, root } = await openBucket(bucket.url, { endpoint: bucket.server.url });
    const names = ['a', 'b', 'c', 'd', 'e'];
    for (const name of names) await raw.replace(`${root}/pages/${name}`, new Uint8Array(), digestOf(''));
    const pages = await collect(raw.list(`${root}/pages/`, { most: 2 }));
    assert.deepEqual(
      pages.map(({ objects }) => objects.map(({ key }) => key.slice(-1)).join('')),
      ['ab', 'cd', 'e'],
    );
    assert.deepEqual(
      pages.map(({ isLast }) => isLast),
      [false, false, true],
    );
  });
});
