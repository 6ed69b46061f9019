import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Digest } from '../../../src/contracts/digest.ts';
import { readAll, someBytes } from '../../store/samples.ts';
import { BucketOfTest } from '../../support/versitygw/bucket.ts';
import { eventually } from '../../temporal.ts';

const kibibyte = 1_024;

describe('the cache of an S3 store', () => {
  let bucket: BucketOfTest;
  let folder: string;
  beforeEach(async () => {
    bucket = await BucketOfTest.start();
    folder = await mkdtemp(join(tmpdir(), 'goto3-s3-cache-'));
  });
  afterEach(async () => {
    await bucket.stop();
    await rm(folder, { recursive: true });
  });
  const open = (budgetBytes = 2 ** 30) => bucket.open({ cache: { folder, budgetBytes } });
  const files = async (): Promise<{ path: string; sizeBytes: number }[]> => {
    const entries = (await readdir(folder, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
    return await Promise.all(
      entries.map(async (entry) => {
        const path = join(entry.parentPath, entry.name);
        return { path, sizeBytes: (await stat(path)).size };
      }),
    );
  };
  const downloads = (digest: Digest): number =>
    bucket.proxy.requests.filter((line) => line.startsWith('GET') && line.includes(digest.slice(7))).length;

  it('brings a blob once, for reads and streams, and for another process', async () => {
    const body = someBytes(300 * kibibyte);
    const store = await open();
    const digest = await store.blobs.put(body);
    assert.deepEqual(await readAll(await store.blobs.get(digest)), body);
    assert.deepEqual(new Uint8Array(await store.blobs.read(digest)), body);
    const other = await open();
    assert.deepEqual(await readAll(await other.blobs.get(digest)), body);
    assert.equal(downloads(digest), 1);
  });

  it('brings it again when the copy is damaged, cut or gone', async () => {
    const body = someBytes(10 * kibibyte);
    const store = await open();
    const digest = await store.blobs.put(body);
    await store.blobs.read(digest);
    const [copy] = await files();
    for (const [expected, damage] of [
      [2, () => writeFile(copy!.path, someBytes(10 * kibibyte))],
      [3, () => writeFile(copy!.path, body.subarray(1))],
      [4, () => rm(copy!.path)],
    ] as const) {
      await damage();
      assert.deepEqual(await readAll(await store.blobs.get(digest)), body);
      assert.equal(downloads(digest), expected);
    }
  });

  it('keeps nothing of a download that was left early', async () => {
    const store = await open();
    const digest = await store.blobs.put(someBytes(2_000 * kibibyte));
    for await (const _ of await store.blobs.get(digest)) break;
    await eventually('the half of it is gone', async () => (await files()).length === 0);
  });

  it('stays within its budget, and drops what was not used for the longest', async () => {
    const budget = 400 * kibibyte;
    const store = await open(budget);
    const digests: Digest[] = [];
    for (let i = 0; i < 12; i += 1) digests.push(await store.blobs.put(someBytes(50 * kibibyte)));
    for (const digest of digests) {
      await store.blobs.read(digest);
      await store.blobs.read(digests[0]!);
      const total = (await files()).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
      assert.ok(total <= budget, `${total} bytes`);
    }
    assert.equal(downloads(digests[0]!), 1);
    const large = await store.blobs.put(someBytes(300 * kibibyte));
    await store.blobs.read(large);
    assert.ok((await files()).every(({ path }) => !path.includes(large.slice(7))));
  });
});
