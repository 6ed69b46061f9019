import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { pipeline, type Readable, Transform } from 'node:stream';
import { type Digest, Digest as DigestSchema } from '../../contracts/digest.ts';
import { digestOf } from '../canonical-json.ts';
import { CorruptBlob, InvalidInput, NotFound } from '../errors.ts';
import { hasCode, listOrNothing, type StagedFile } from '../logs/files.ts';
import type { BlobStore } from '../types.ts';
import type { StoredBlob } from '../upkeep.ts';
import type { FsOps } from './fs-ops.ts';
import type { Staging } from './staging.ts';

/**
 * Blobs as files `blobs/<first two digits>/<64 digits>`.
 *
 * A put of bytes that exist renews their age, a collection deletes the old: when both meet on one blob, the collection
 * moves the file aside before it looks at the age for the last time, and the put looks at the file after it has renewed
 * the age. So either the collection sees the new age and moves the file back, or the put finds it gone and writes anew.
 */
export class FsBlobStore implements BlobStore {
  readonly #ops: FsOps;
  readonly #staging: Staging;
  readonly #folder: string;
  readonly #condemned: string;

  constructor(ops: FsOps, staging: Staging, root: string) {
    this.#ops = ops;
    this.#staging = staging;
    this.#folder = join(root, 'blobs');
    this.#condemned = join(root, 'condemned');
  }

  async put(body: Readable | Uint8Array): Promise<Digest> {
    if (body instanceof Uint8Array) {
      const digest = digestOf(body);
      if ((await this.#renew(digest)) === 'right') return digest;
    }
    const staged = await this.#staging.stage(body).catch((error: unknown) => {
      // A body that was never read would keep its file or socket open.
      if (!(body instanceof Uint8Array)) body.destroy();
      throw error;
    });
    try {
      await this.#place(staged);
      return staged.digest;
    } finally {
      await this.#staging.discard(staged.path);
    }
  }

  async get(digest: Digest): Promise<Readable> {
    const source = await this.#found(digest, (path) => this.#ops.readStream(path));
    const hash = createHash('sha256');
    const verified = new Transform({
      transform(chunk: Uint8Array, _encoding, done) {
        hash.update(chunk);
        done(null, chunk);
      },
      flush(done) {
        const found: Digest = `sha256:${hash.digest('hex')}`;
        done(found === digest ? null : new CorruptBlob(digest, found));
      },
    });
    // `pipeline` closes the file when the reader goes away early; its error reaches the reader as the stream's own.
    pipeline(source, verified, () => {});
    return verified;
  }

  async read(digest: Digest): Promise<Uint8Array> {
    const bytes = await this.#found(digest, (path) => this.#ops.readWhole(path));
    const found = digestOf(bytes);
    if (found !== digest) throw new CorruptBlob(digest, found);
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
    return (await this.#found(digest, (path) => this.#ops.facts(path))).sizeBytes;
  }

  async *all(): AsyncIterable<StoredBlob> {
    for (const shard of await listOrNothing(this.#ops, this.#folder)) {
      if (!shard.isFolder) continue;
      for (const { name } of await this.#ops.list(join(this.#folder, shard.name))) {
        const digest = `sha256:${name}` as Digest;
        if (!DigestSchema.safeParse(digest).success) continue;
        try {
          const facts = await this.#ops.facts(this.#path(digest));
          yield { digest, sizeBytes: facts.sizeBytes, renewedAt: new Date(facts.modifiedAtMs) };
        } catch (error) {
          if (!hasCode(error, 'ENOENT')) throw error;
        }
      }
    }
  }

  /** False when the blob is gone already or its age was renewed in the meantime. */
  async deleteIfOlder(digest: Digest, olderThan: Date): Promise<boolean> {
    const condemned = await this.#condemnedPath(digest);
    try {
      if ((await this.#ops.facts(this.#path(digest))).modifiedAtMs >= olderThan.getTime()) return false;
      await this.#ops.rename(this.#path(digest), condemned);
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return false;
      throw error;
    }
    return this.#settle(digest, olderThan);
  }

  /** Decides about blobs that a killed collection had moved aside. */
  async settleCondemned(olderThan: Date): Promise<void> {
    for (const { name } of await listOrNothing(this.#ops, this.#condemned)) {
      const digest = `sha256:${name}` as Digest;
      if (DigestSchema.safeParse(digest).success) await this.#settle(digest, olderThan);
    }
  }

  async #settle(digest: Digest, olderThan: Date): Promise<boolean> {
    const condemned = await this.#condemnedPath(digest);
    try {
      const renewed = (await this.#ops.facts(condemned)).modifiedAtMs >= olderThan.getTime();
      if (renewed) await this.#moveBack(condemned, this.#path(digest));
      await this.#ops.remove(condemned);
      return !renewed;
    } catch (error) {
      // Another collection has settled it.
      if (hasCode(error, 'ENOENT')) return false;
      throw error;
    }
  }

  async #moveBack(condemned: string, final: string): Promise<void> {
    try {
      await this.#ops.link(condemned, final);
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
    }
    await this.#staging.settleName(final);
  }

  async #place(staged: StagedFile): Promise<void> {
    const final = this.#path(staged.digest);
    while ((await this.#staging.publish(staged, final)) === 'exists') {
      const state = await this.#renew(staged.digest);
      if (state === 'right') return;
      // The right bytes are at hand: repair, or every retry would meet the damaged file again.
      if (state === 'damaged') return this.#staging.replace(staged, final);
    }
  }

  async #renew(digest: Digest): Promise<'right' | 'damaged' | 'gone'> {
    try {
      await this.#ops.touch(this.#path(digest));
      await this.#staging.settleName(this.#path(digest));
      for await (const _ of await this.get(digest));
      return 'right';
    } catch (error) {
      if (error instanceof CorruptBlob) return 'damaged';
      if (error instanceof NotFound || hasCode(error, 'ENOENT')) return 'gone';
      throw error;
    }
  }

  async #found<T>(digest: Digest, look: (path: string) => Promise<T>): Promise<T> {
    try {
      return await look(this.#path(digest));
    } catch (error) {
      if (hasCode(error, 'ENOENT')) throw new NotFound(digest);
      throw error;
    }
  }

  /** Checked here, so that no text from outside ever becomes a path. */
  #path(digest: Digest): string {
    if (!DigestSchema.safeParse(digest).success)
      throw new InvalidInput(`digest: expected "sha256:" and 64 hex digits, got ${JSON.stringify(digest)}`);
    const digits = digest.slice('sha256:'.length);
    return join(this.#folder, digits.slice(0, 2), digits);
  }

  async #condemnedPath(digest: Digest): Promise<string> {
    await this.#ops.makeFolder(this.#condemned);
    return join(this.#condemned, digest.slice('sha256:'.length));
  }
}
