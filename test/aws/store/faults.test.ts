import assert from 'node:assert/strict';
import { readFile, stat, truncate, writeFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { digestOf } from '../../../src/store/canonical-json.ts';
import { CorruptBlob, RefConflict, StoreUnavailable } from '../../../src/store/errors.ts';
import { openBucket } from '../../../src/store/s3/store.ts';
import { bytes, digestOfDigit, readAll, someBytes, why } from '../../store/samples.ts';
import { BucketOfTest } from '../../support/versitygw/bucket.ts';

const mebibyte = 2 ** 20;
const isPut = ({ method, url = '' }: { method?: string; url?: string }, key: string): boolean =>
  method === 'PUT' && url.includes(key);

describe('S3 store, one fault at a time', () => {
  let bucket: BucketOfTest;
  beforeEach(async () => {
    bucket = await BucketOfTest.start();
  });
  afterEach(() => bucket.stop());

  /** Breaks the first requests that match. */
  const breakOnce = (
    fault: Parameters<typeof bucket.proxy.fired.get>[0],
    matches: (request: { method?: string; url?: string }) => boolean,
    times = 1,
  ): void => {
    let left = times;
    bucket.proxy.rule = (incoming) =>
      left > 0 && matches(incoming as { method: string; url: string }) && left-- > 0 ? fault : 'pass';
  };

  it('takes its own entry for its own when the reply to it was lost', async () => {
    const { refs } = await bucket.open();
    breakOnce('lostReply', (request) => isPut(request, '%40log/'));
    const ref = await refs.compareAndSet('a/log', undefined, digestOfDigit('1'), why('mine'));
    assert.equal(bucket.proxy.fired.get('lostReply'), 1);
    assert.deepEqual(await refs.read('a/log'), ref);
    await assert.rejects(refs.compareAndSet('a/log', undefined, digestOfDigit('2'), why('other')), RefConflict);
  });

  it('asks again when two conditional writes met (409)', async () => {
    const { refs } = await bucket.open();
    breakOnce('conflict409', (request) => isPut(request, '%40log/'), 3);
    const ref = await refs.compareAndSet('a/log', undefined, digestOfDigit('1'), why('mine'));
    assert.equal(bucket.proxy.fired.get('conflict409'), 3);
    assert.equal(ref.entry, 1);
  });

  for (const fault of ['conflict409', 'lostReply', 'error200', 'error500', 'reset'] as const)
    it(`completes an upload in parts once, and leaves none behind: ${fault}`, async () => {
      const { blobs } = await bucket.open();
      const body = someBytes(20 * mebibyte);
      breakOnce(fault, ({ method, url = '' }) => method === 'POST' && url.includes('uploadId='));
      const digest = await blobs.put(Readable.from([body.subarray(0, 9 * mebibyte), body.subarray(9 * mebibyte)]));
      assert.equal(bucket.proxy.fired.get(fault), 1);
      assert.equal(digest, digestOf(body));
      assert.equal(digestOf(await readFile(bucket.fileOf(digest))), digest);
      assert.equal(await bucket.openUploads(), 0);
    });

  it('aborts an upload whose parts do not get through, and says why', async () => {
    const { blobs } = await bucket.open();
    breakOnce('error500', ({ url = '' }) => url.includes('partNumber=2'), 1_000);
    const body = someBytes(20 * mebibyte);
    await assert.rejects(blobs.put(Readable.from([body])), (error: unknown) => {
      assert.ok(error instanceof StoreUnavailable);
      assert.match(error.message, /cannot upload part 2 of s3:.*InternalError/);
      return true;
    });
    assert.equal(await bucket.openUploads(), 0);
    assert.equal(await blobs.has(digestOf(body)), false);
  });

  it('sweeps what a killed upload left, and spares one that is under way', async () => {
    const store = await bucket.open();
    const { bucket: raw, root } = await openBucket(bucket.url, { endpoint: bucket.server.url });
    const uploadId = await raw.beginUpload(`${root}/blobs/ab/${'ab'.repeat(32)}`);
    await raw.uploadPart(`${root}/blobs/ab/${'ab'.repeat(32)}`, uploadId, 1, someBytes(1_000), undefined);
    assert.equal(await store.upkeep.removeLeftovers(new Date(Date.now() - 60_000)), 0);
    assert.equal(await bucket.openUploads(), 1);
    assert.equal(await store.upkeep.removeLeftovers(new Date(Date.now() + 60_000)), 1);
    assert.equal(await bucket.openUploads(), 0);
  });

  for (const fault of ['truncated', 'stalled', 'reset'] as const)
    it(`takes up a large download where it broke: ${fault}`, async () => {
      const store = await bucket.open({ idleMs: 1_000 });
      const body = someBytes(9 * mebibyte);
      const digest = await store.blobs.put(body);
      breakOnce(fault, ({ method, url = '' }) => method === 'GET' && url.includes('/blobs/'), 2);
      bucket.proxy.requests.length = 0;
      assert.deepEqual(await readAll(await store.blobs.get(digest)), body);
      assert.equal(bucket.proxy.fired.get(fault), 2);
      assert.equal(bucket.proxy.requests.filter((line) => line.includes('/blobs/')).length, 3);
    });

  it('gives up, typed, on a server that stays away', async () => {
    const store = await bucket.open();
    bucket.proxy.rule = () => 'error500';
    await assert.rejects(store.refs.read('a/log'), (error: unknown) => {
      assert.ok(error instanceof StoreUnavailable);
      assert.equal(error.code, 'InternalError');
      return true;
    });
  });

  it('tells wrong bytes from right ones, also when they come between HEAD and GET, and the next put repairs them', async () => {
    const store = await bucket.open();
    const digest = await store.blobs.put(bytes('right bytes'));
    assert.equal(await store.blobs.sizeBytes(digest), 11);
    let replaced = false;
    bucket.proxy.rule = async ({ method, url = '' }): Promise<'pass'> => {
      if (method === 'GET' && url.includes('/blobs/') && !replaced) {
        await writeFile(bucket.fileOf(digest), 'wrong bytes');
        replaced = true;
      }
      return 'pass';
    };
    await assert.rejects(async () => readAll(await store.blobs.get(digest)), CorruptBlob);
    assert.ok(replaced);
    await assert.rejects(store.blobs.read(digest), CorruptBlob);
    await store.blobs.put(bytes('right bytes'));
    assert.equal(Buffer.from(await store.blobs.read(digest)).toString(), 'right bytes');
  });

  it('writes anew what has another length than its bytes', async () => {
    const store = await bucket.open();
    const digest = await store.blobs.put(bytes('right bytes'));
    await truncate(bucket.fileOf(digest), 5);
    await (await bucket.open()).blobs.put(bytes('right bytes'));
    assert.equal(Buffer.from(await store.blobs.read(digest)).toString(), 'right bytes');
  });

  it('renews what is older than a day, and sends nothing for what is young', async () => {
    const store = await bucket.open();
    const digest = await store.blobs.put(bytes('again'));
    await bucket.age(digest, 3);
    await store.blobs.put(bytes('again'));
    assert.ok((await stat(bucket.fileOf(digest))).mtimeMs > Date.now() - 60_000);
    bucket.proxy.requests.length = 0;
    await store.blobs.put(bytes('again'));
    assert.deepEqual(
      bucket.proxy.requests.filter((line) => !line.startsWith('GET')),
      [],
    );
  });
});
