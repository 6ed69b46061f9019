import { createHash } from 'node:crypto';
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { type Digest, Digest as DigestSchema } from '../../contracts/digest.ts';
import { digestOf } from '../canonical-json.ts';
import { CorruptBlob, InvalidInput, NotFound } from '../errors.ts';
import { hasCode } from '../logs/files.ts';
import type { BlobStore } from '../types.ts';
import type { StoredBlob } from '../upkeep.ts';
import type { Bucket, ObjectFacts } from './bucket.ts';
import type { ByteBudget } from './byte-budget.ts';
import type { BlobCache } from './cache.ts';
import { Condemned } from './condemned.ts';
import { openDownload, readBody } from './download.ts';
import { Presence } from './presence.ts';
import { smallestPartBytes, uploadFile } from './upload.ts';

/**
 * A put renews an object that is older than this; a younger one is left alone, so an object may have been put up to a day
 * after the time that it shows. Ages are reported with that day added.
 */
const renewAfterMs = 86_400_000;
/** S3's limit for copying an object in one request ("CopyObject"). */
const largestCopyBytes = 5 * 2 ** 30;

export interface S3BlobsOptions {
  bucket: Bucket;
  /** Prefix of all keys. */
  root: string;
  cache: BlobCache | undefined;
  /** Where a stream waits until its digest, and so its key, is known. */
  spoolFolder: string;
  budget: ByteBudget;
}

/** Writes an object: the whole of it, if there is none (`exists` otherwise), or in place of what is there. */
type Write = (mode: 'create' | 'replace') => Promise<'created' | 'exists'>;

/** Blobs as objects `blobs/<first two digits>/<64 digits>`. Every read checks the digest, every write is checked by S3. */
export class S3BlobStore implements BlobStore {
  readonly #bucket: Bucket;
  readonly #root: string;
  readonly #cache: BlobCache | undefined;
  readonly #spoolFolder: string;
  readonly #budget: ByteBudget;
  readonly #presence: Presence;
  readonly #condemned: Condemned;
  /** Read by this process and found wrong: the next put writes them anew. */
  readonly #damaged = new Set<Digest>();

  constructor({ bucket, root, cache, spoolFolder, budget }: S3BlobsOptions) {
    this.#bucket = bucket;
    this.#root = root;
    this.#cache = cache;
    this.#spoolFolder = spoolFolder;
    this.#budget = budget;
    this.#presence = new Presence(bucket);
    this.#condemned = new Condemned(bucket, `${root}/condemned`);
  }

  async put(body: Readable | Uint8Array): Promise<Digest> {
    if (body instanceof Uint8Array) return await this.#putBytes(body);
    try {
      return await this.#putStream(body);
    } catch (error) {
      // A body that was never read would keep its file or socket open.
      body.destroy();
      throw error;
    }
  }

  async putFile(handle: FileHandle): Promise<{ digest: Digest; sizeBytes: number }> {
    const { size } = await handle.stat();
    if (size <= smallestPartBytes) {
      return await this.#budget.hold(size, async () => {
        const bytes = await handle.readFile();
        return { digest: await this.#putBytes(bytes), sizeBytes: bytes.length };
      });
    }
    const hash = createHash('sha256');
    let sizeBytes = 0;
    for await (const chunk of handle.createReadStream({ start: 0, autoClose: false, highWaterMark: 2 ** 20 })) {
      hash.update(chunk as Uint8Array);
      sizeBytes += (chunk as Uint8Array).length;
    }
    const digest: Digest = `sha256:${hash.digest('hex')}`;
    await this.#putLarge(handle, sizeBytes, digest);
    return { digest, sizeBytes };
  }

  async get(digest: Digest): Promise<Readable> {
    checkDigest(digest);
    const cached = await this.#cache?.open(digest);
    if (cached) return this.#verified(digest, cached.createReadStream({ highWaterMark: 2 ** 20 }));
    return await this.origin(digest);
  }

  /** As `get`, past the cache. */
  async origin(digest: Digest): Promise<Readable> {
    const { sizeBytes, chunks, close } = await this.#found(digest, (key) => openDownload(this.#bucket, key));
    const stream = this.#verified(digest, chunks, sizeBytes);
    // A stream that is closed before its first byte was asked for would keep its connection.
    stream.once('close', close);
    return stream;
  }

  async read(digest: Digest): Promise<Uint8Array> {
    checkDigest(digest);
    const cached = await this.#cache?.read(digest);
    if (cached) return cached;
    const bytes = await this.#found(digest, (key) => readBody(this.#bucket, key));
    const found = digestOf(bytes);
    if (found !== digest) throw this.#corrupt(digest, found);
    const entry = await this.#cache?.entry(digest, bytes.length);
    await entry?.write(bytes);
    await entry?.end(true);
    return bytes;
  }

  async has(digest: Digest): Promise<boolean> {
    try {
      await this.sizeBytes(digest);
      return true;
    } catch (error) {
      if (error instanceof NotFound) return false;
      throw error;
    }
  }

  async sizeBytes(digest: Digest): Promise<number> {
    return (await this.#found(digest, (key) => this.#bucket.facts(key))).sizeBytes;
  }

  async *all(): AsyncIterable<StoredBlob> {
    for await (const { objects } of this.#bucket.list(`${this.#root}/blobs/`))
      for (const { key, sizeBytes, modifiedAtMs } of objects) {
        const digest = `sha256:${key.slice(-64)}` as Digest;
        if (!DigestSchema.safeParse(digest).success) continue;
        yield { digest, sizeBytes, renewedAt: new Date(modifiedAtMs + renewAfterMs) };
      }
  }

  async deleteIfOlder(digest: Digest, olderThan: Date): Promise<boolean> {
    const { key, name } = this.#place(digest);
    const isYoung = ({ modifiedAtMs }: ObjectFacts): boolean => modifiedAtMs + renewAfterMs >= olderThan.getTime();
    return await this.#condemned.deleteUnless(key, name, isYoung);
  }

  async finishDeletions(): Promise<void> {
    await this.#condemned.removeAbandoned(new Date());
  }

  /** Aborts uploads that a killed process left: their parts cost money and show in no listing of objects. */
  async removeLeftovers(olderThan: Date): Promise<number> {
    let removed = 0;
    for await (const { key, uploadId, begunAtMs } of this.#bucket.uploads(`${this.#root}/blobs/`)) {
      if (begunAtMs >= olderThan.getTime()) continue;
      await this.#bucket.abortUpload(key, uploadId);
      removed += 1;
    }
    return removed;
  }

  async #putStream(body: Readable): Promise<Digest> {
    const chunks: Uint8Array[] = [];
    let size = 0;
    const source = body[Symbol.asyncIterator]();
    for (;;) {
      const next = await source.next();
      if (next.done) return await this.#putBytes(Buffer.concat(chunks));
      const bytes = bytesOf(next.value);
      chunks.push(bytes);
      size += bytes.length;
      if (size > smallestPartBytes) return await this.#putSpooled(chunks, source);
    }
  }

  /** The key is the digest, and that is known at the end of a stream only: until then it waits on disk. */
  async #putSpooled(first: Uint8Array[], rest: AsyncIterator<unknown>): Promise<Digest> {
    const folder = await mkdtemp(join(this.#spoolFolder, 'goto3-put-'));
    try {
      const handle = await open(join(folder, 'body'), 'wx+', 0o600);
      try {
        const hash = createHash('sha256');
        let sizeBytes = 0;
        const write = async (bytes: Uint8Array): Promise<void> => {
          hash.update(bytes);
          sizeBytes += bytes.length;
          await handle.writeFile(bytes);
        };
        for (let chunk = first.shift(); chunk; chunk = first.shift()) await write(chunk);
        for (let next = await rest.next(); !next.done; next = await rest.next()) await write(bytesOf(next.value));
        const digest: Digest = `sha256:${hash.digest('hex')}`;
        await this.#putLarge(handle, sizeBytes, digest);
        return digest;
      } finally {
        await handle.close();
      }
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  async #putBytes(bytes: Uint8Array): Promise<Digest> {
    const digest = digestOf(bytes);
    const { key, shard } = this.#place(digest);
    await this.#ensure(digest, bytes.length, await this.#presence.find(shard, key), async (mode) => {
      if (mode === 'create') return await this.#bucket.create(key, bytes, digest);
      await this.#bucket.replace(key, bytes, digest);
      return 'created';
    });
    return digest;
  }

  async #putLarge(handle: FileHandle, sizeBytes: number, digest: Digest): Promise<void> {
    const { key } = this.#place(digest);
    // Worth a question before gigabytes are sent.
    const found = (await this.#factsOf(key)) ?? 'absent';
    await this.#ensure(digest, sizeBytes, found, async (mode) => {
      await uploadFile(
        this.#bucket,
        key,
        { handle, sizeBytes, digest },
        { budget: this.#budget, replace: mode === 'replace' },
      );
      return 'created';
    });
  }

  /** Writes the object unless it is there; renews one that is, so that no collection takes it within its week. */
  async #ensure(
    digest: Digest,
    sizeBytes: number,
    known: ObjectFacts | 'absent' | 'unknown',
    write: Write,
  ): Promise<void> {
    const { key, shard } = this.#place(digest);
    for (let found = known; ; found = (await this.#factsOf(key)) ?? 'absent') {
      if (typeof found === 'string') {
        if ((await write('create')) === 'exists') continue;
      } else if (found.sizeBytes !== sizeBytes || this.#damaged.has(digest)) {
        await write('replace');
        this.#damaged.delete(digest);
      } else if (found.modifiedAtMs < Date.now() - renewAfterMs) {
        if (!(await this.#renew(digest, sizeBytes, write))) continue;
      } else return;
      await this.#presence.add(shard, key, { sizeBytes, modifiedAtMs: Date.now() });
      return;
    }
  }

  async #renew(digest: Digest, sizeBytes: number, write: Write): Promise<boolean> {
    const { key, name } = this.#place(digest);
    try {
      if (sizeBytes > largestCopyBytes) await write('replace');
      else {
        await this.#bucket.touch(key);
        // Not every server takes a copy onto itself for a change of the object.
        const { modifiedAtMs } = await this.#bucket.facts(key);
        if (modifiedAtMs < Date.now() - renewAfterMs) await write('replace');
      }
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return false;
      throw error;
    }
    return await this.#condemned.survives(key, name);
  }

  /** Passes the bytes on while it checks them; what the download brings goes into the cache too. */
  #verified(digest: Digest, chunks: AsyncIterable<unknown>, downloadBytes?: number): Readable {
    const check = async function* (this: S3BlobStore): AsyncGenerator<Uint8Array> {
      const hash = createHash('sha256');
      const entry = downloadBytes === undefined ? undefined : await this.#cache?.entry(digest, downloadBytes);
      let isRight = false;
      try {
        for await (const chunk of chunks) {
          hash.update(chunk as Uint8Array);
          await entry?.write(chunk as Uint8Array);
          yield chunk as Uint8Array;
        }
        const found: Digest = `sha256:${hash.digest('hex')}`;
        if (found !== digest) throw this.#corrupt(digest, found);
        isRight = true;
      } finally {
        await entry?.end(isRight);
      }
    };
    return Readable.from(check.call(this), { objectMode: false });
  }

  #corrupt(digest: Digest, found: Digest): CorruptBlob {
    this.#damaged.add(digest);
    return new CorruptBlob(digest, found);
  }

  async #factsOf(key: string): Promise<ObjectFacts | undefined> {
    try {
      return await this.#bucket.facts(key);
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return undefined;
      throw error;
    }
  }

  async #found<T>(digest: Digest, look: (key: string) => Promise<T>): Promise<T> {
    const { key } = this.#place(digest);
    try {
      return await look(key);
    } catch (error) {
      if (hasCode(error, 'ENOENT')) throw new NotFound(digest);
      throw error;
    }
  }

  #place(digest: Digest): { key: string; shard: string; name: string } {
    checkDigest(digest);
    const name = digest.slice('sha256:'.length);
    const shard = `${this.#root}/blobs/${name.slice(0, 2)}/`;
    return { key: shard + name, shard, name };
  }
}

/** Checked here, so that no text from outside ever becomes a key or a path. */
function checkDigest(digest: Digest): void {
  if (!DigestSchema.safeParse(digest).success)
    throw new InvalidInput(`digest: expected "sha256:" and 64 hex digits, got ${JSON.stringify(digest)}`);
}

function bytesOf(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  if (typeof chunk === 'string') return Buffer.from(chunk, 'utf8');
  throw new InvalidInput(`blob body: expected a stream of bytes, got a chunk of type ${typeof chunk}`);
}
