import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import type { Digest } from '../../src/contracts/digest.ts';
import { digestOf } from '../../src/store/canonical-json.ts';
import { InvalidInput, NotFound } from '../../src/store/errors.ts';
import type { Store } from '../../src/store/types.ts';
import { digestOfDigit, readAll, someBytes } from './samples.ts';

export function blobsConform(store: () => Store): void {
  it('gives back what was put, by digest, from bytes and from a stream', async () => {
    const body = someBytes(300_000);
    const chunks = [body.subarray(0, 1), body.subarray(1, 200_000), body.subarray(200_000)];
    assert.equal(await store().blobs.put(Readable.from(chunks)), digestOf(body));
    assert.equal(await store().blobs.put(body), digestOf(body));
    assert.deepEqual(await readAll(await store().blobs.get(digestOf(body))), body);
    assert.deepEqual(new Uint8Array(await store().blobs.read(digestOf(body))), body);
    assert.equal(await store().blobs.sizeBytes(digestOf(body)), body.length);
  });

  it('keeps a blob of no bytes', async () => {
    const digest = await store().blobs.put(new Uint8Array());
    assert.equal(digest, digestOf(''));
    assert.equal((await readAll(await store().blobs.get(digest))).length, 0);
    assert.equal(await store().blobs.sizeBytes(digest), 0);
  });

  it('says NotFound, with the digest, before the first byte', async () => {
    const missing = digestOfDigit('0');
    const names = (error: unknown): boolean => error instanceof NotFound && error.digest === missing;
    await assert.rejects(store().blobs.get(missing), names);
    await assert.rejects(store().blobs.read(missing), names);
    await assert.rejects(store().blobs.sizeBytes(missing), names);
    assert.equal(await store().blobs.has(missing), false);
  });

  for (const bad of ['sha256:../../../../etc/passwd', `sha256:${'A'.repeat(64)}`, 'a'.repeat(64), '', '__proto__'])
    it(`refuses the digest ${JSON.stringify(bad.slice(0, 40))}`, async () => {
      await assert.rejects(store().blobs.get(bad as Digest), InvalidInput);
      await assert.rejects(store().blobs.has(bad as Digest), InvalidInput);
    });

  it('stores nothing of a stream that fails, and passes the failure on', async () => {
    const half = someBytes(1_000);
    async function* failing(): AsyncIterable<Uint8Array> {
      yield half;
      throw new Error('the source broke');
    }
    await assert.rejects(store().blobs.put(Readable.from(failing())), /the source broke/);
    assert.equal(await store().blobs.has(digestOf(half)), false);
  });

  it('stores the same bytes once when many put them at the same time', async () => {
    const body = someBytes(10_000);
    const digests = await Promise.all(Array.from({ length: 16 }, () => store().blobs.put(body)));
    assert.deepEqual(new Set(digests), new Set([digestOf(body)]));
    assert.deepEqual(new Uint8Array(await store().blobs.read(digestOf(body))), body);
  });

  it('lets a reader leave early', async () => {
    const digest = await store().blobs.put(someBytes(1_000_000));
    const stream = await store().blobs.get(digest);
    for await (const _ of stream) break;
    assert.equal(stream.destroyed, true);
  });
}
