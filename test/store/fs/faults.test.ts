import assert from 'node:assert/strict';
import { readFile, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { Digest } from '../../../src/contracts/digest.ts';
import { CorruptBlob, CorruptLog, InvalidInput, StoreUnavailable } from '../../../src/store/errors.ts';
import { type FsOps, interceptFs, nodeFs } from '../../../src/store/fs/fs-ops.ts';
import { openFsStore } from '../../../src/store/fs/store.ts';
import { openStore } from '../../../src/store/open.ts';
import { bytes, capture, collect, digestOfDigit, readAll, someBytes, temporaryFolder, why } from '../samples.ts';
import { failure, PowerCutFs } from './power-cut-fs.ts';

const blobFile = (root: string, digest: Digest): string => join(root, 'blobs', digest.slice(7, 9), digest.slice(7));

async function flipBit(path: string, at: number): Promise<void> {
  const data = await readFile(path);
  data[at]! ^= 1;
  await writeFile(path, data);
}

describe('fs store with faults', () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  beforeEach(async () => {
    folder = await temporaryFolder();
  });
  afterEach(() => folder.remove());

  for (const [code, operation] of [
    ['ENOSPC', 'createFile'],
    ['ENOSPC', 'write'],
    ['EDQUOT', 'sync'],
    ['EIO', 'sync'],
    ['ENOSPC', 'makeFolder'],
    ['ENOSPC', 'link'],
    ['EMFILE', 'createFile'],
  ] as const)
    it(`says StoreUnavailable, and leaves nothing, when ${operation} fails with ${code}`, async () => {
      const fs = new PowerCutFs();
      const store = await openFsStore('/store', { ops: fs });
      const before = fs.paths();
      let fired = 0;
      const full = await openFsStore('/store', {
        ops: interceptFs(fs, (called, path, run) => {
          if (called !== operation) return run();
          fired += 1;
          return Promise.reject(failure(code, path));
        }),
      });
      const typed = (error: unknown): boolean => error instanceof StoreUnavailable && error.code === code;
      await assert.rejects(full.blobs.put(Readable.from([bytes('a'), bytes('b')])), typed);
      await assert.rejects(full.refs.compareAndSet('a/b', undefined, digestOfDigit('1'), why('one')), typed);
      await assert.rejects(full.captures.append('mail', 'r1', [capture('1')]), typed);
      assert.ok(fired >= 3, `the fault fired ${fired} times`);
      assert.deepEqual(fs.paths(), before);
      // Space is freed: the same calls succeed.
      const digest = await store.blobs.put(bytes('ab'));
      assert.equal((await store.refs.compareAndSet('a/b', undefined, digest, why('one'))).entry, 1);
    });

  it('can be opened and read when the disk is full', async () => {
    const fs = new PowerCutFs();
    const digest = await (await openFsStore('/store', { ops: fs })).blobs.put(bytes('kept'));
    const full: FsOps = { ...fs, createFile: (path) => Promise.reject(failure('ENOSPC', path)) };
    const store = await openFsStore('/store', { ops: full });
    assert.equal(Buffer.from(await store.blobs.read(digest)).toString(), 'kept');
  });

  it('finds a flipped bit in a blob, whole or streamed, and names the digest', async () => {
    const store = await openStore(folder.path);
    const body = someBytes(200_000);
    const digest = await store.blobs.put(body);
    await flipBit(blobFile(folder.path, digest), 150_000);
    const named = (error: unknown): boolean =>
      error instanceof CorruptBlob && error.digest === digest && error.message.includes(digest);
    await assert.rejects(store.blobs.read(digest), named);
    await assert.rejects(readAll(await store.blobs.get(digest)), named);
    // The right bytes repair it.
    assert.equal(await store.blobs.put(Readable.from([body])), digest);
    assert.deepEqual(new Uint8Array(await store.blobs.read(digest)), body);
    await writeFile(blobFile(folder.path, digest), body.subarray(0, 1_000));
    await assert.rejects(store.blobs.read(digest), named);
    assert.equal(await store.blobs.put(body), digest);
    assert.deepEqual(await readAll(await store.blobs.get(digest)), body);
  });

  it('finds a changed, exchanged or missing entry of a ref', async () => {
    const store = await openStore(folder.path);
    let ref = await store.refs.compareAndSet('a/b', undefined, digestOfDigit('1'), why('one'));
    for (const operation of ['two', 'three', 'four'])
      ref = await store.refs.compareAndSet('a/b', ref, digestOfDigit('1'), why(operation));
    assert.deepEqual(await collect(store.upkeep.checkLog('a/b')), []);

    const entry = (n: number) => join(folder.path, 'refs/a/b/@log/000000', String(n).padStart(9, '0'));
    const [second, third] = [await readFile(entry(2), 'utf8'), await readFile(entry(3), 'utf8')];
    await writeFile(entry(2), second.replace('"by":"ann"', '"by":"eve"'));
    assert.deepEqual(
      (await collect(store.upkeep.checkLog('a/b'))).map((problem) => problem.entry),
      [3],
    );
    await writeFile(entry(2), third);
    await assert.rejects(collect(store.refs.history('a/b')), CorruptLog);
    await writeFile(entry(2), second.slice(0, 20));
    await assert.rejects(collect(store.refs.history('a/b')), (error: unknown) => {
      return error instanceof CorruptLog && error.where === 'ref a/b entry 2';
    });
    await nodeFs.remove(entry(2));
    assert.match((await collect(store.upkeep.checkLog('a/b'))).map((problem) => problem.detail).join(), /missing/);
    // The hole is never filled, the log goes on at its end.
    assert.deepEqual(await store.refs.read('a/b'), ref);
    assert.equal((await store.refs.compareAndSet('a/b', ref, digestOfDigit('2'), why('five'))).entry, 5);
  });

  it('finds a flipped bit in a capture segment', async () => {
    const store = await openStore(folder.path);
    await store.captures.append('mail', 'r1', [capture('1')]);
    const segment = join(folder.path, 'captures/mail/r1/000000/000000001');
    await flipBit(segment, (await readFile(segment)).length - 10);
    await assert.rejects(store.captures.read('mail'), (error: unknown) => {
      return error instanceof CorruptLog && error.where === 'captures mail/r1 segment 1';
    });
  });

  it('does not take its own link, whose reply was lost, for somebody else’s', async () => {
    const lossy = interceptFs(nodeFs, async (operation, path, run) => {
      const answer = await run();
      if (operation === 'link') throw failure('EEXIST', path);
      return answer;
    });
    const store = await openFsStore(folder.path, { ops: lossy });
    await store.captures.append('mail', 'r1', [capture('1')]);
    await store.captures.append('mail', 'r1', [capture('2')]);
    assert.equal((await store.captures.read('mail')).records.length, 2);
    const ref = await store.refs.compareAndSet('a/b', undefined, digestOfDigit('1'), why('one'));
    assert.deepEqual(await collect(store.refs.history('a/b')), [ref]);
  });

  it('keeps times of a log in order when clocks go back', async () => {
    const clock = { now: Date.parse('2026-03-29T02:30:00Z') };
    const store = await openFsStore(folder.path, { now: () => new Date(clock.now) });
    const one = await store.refs.compareAndSet('a/b', undefined, digestOfDigit('1'), why('one'));
    clock.now -= 3_600_000;
    const two = await store.refs.compareAndSet('a/b', one, digestOfDigit('2'), why('two'));
    assert.equal(two.time, one.time);
    assert.equal(await store.refs.read('a/b', new Date(clock.now)), undefined);
    assert.deepEqual(await store.refs.read('a/b', new Date(one.time)), two);
    assert.deepEqual(await store.refs.read('a/b', new Date(8e15)), two);
    await assert.rejects(store.refs.read('a/b', new Date('yesterday')), InvalidInput);
  });

  it('reads past no segment that a listing missed', async () => {
    const store = await openStore(folder.path);
    for (const id of ['1', '2', '3']) await store.captures.append('mail', 'r1', [capture(id)]);
    let listings = 0;
    // readdir(3) may miss a file that appears during the listing and show one that appeared after it.
    const racing: FsOps = {
      ...nodeFs,
      list: async (path) => {
        const names = await nodeFs.list(path);
        if (!path.endsWith('000000')) return names;
        listings += 1;
        return listings === 1 ? names.filter(({ name }) => !name.endsWith('2')) : names;
      },
    };
    const { records } = await (await openFsStore(folder.path, { ops: racing })).captures.read('mail');
    assert.deepEqual(
      records.map((record) => record.inferenceId),
      ['1', '2', '3'],
    );
    assert.equal(listings, 2);
  });

  it('renews the age of a blob that is put again', async () => {
    const store = await openStore(folder.path);
    const digest = await store.blobs.put(bytes('old'));
    const longAgo = new Date('2020-01-01T00:00:00Z');
    for (const body of [bytes('old'), Readable.from([bytes('old')])]) {
      await utimes(blobFile(folder.path, digest), longAgo, longAgo);
      await store.blobs.put(body);
      const [blob] = await collect(store.upkeep.blobs());
      assert.ok(blob!.renewedAt > longAgo);
    }
  });

  it('streams a body far larger than its buffers in constant memory', async function () {
    this.timeout(60_000);
    const store = await openStore(folder.path, { durability: 'fast' });
    const piece = someBytes(2 ** 20);
    const pieces = 192;
    let largest = 0;
    const before = process.memoryUsage().arrayBuffers;
    const watch = (): void => {
      largest = Math.max(largest, process.memoryUsage().arrayBuffers - before);
    };
    async function* body(): AsyncIterable<Uint8Array> {
      for (let i = 0; i < pieces; i += 1) {
        watch();
        yield piece;
      }
    }
    const digest = await store.blobs.put(Readable.from(body(), { objectMode: false }));
    let sizeBytes = 0;
    for await (const chunk of await store.blobs.get(digest)) {
      watch();
      sizeBytes += (chunk as Uint8Array).length;
    }
    assert.equal(sizeBytes, pieces * 2 ** 20);
    assert.ok(largest < 64 * 2 ** 20, `${largest} bytes held`);
  });
});
