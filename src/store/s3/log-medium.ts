import { randomUUID } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import type { Digest } from '../../contracts/digest.ts';
import { digestOf } from '../canonical-json.ts';
import { hasCode, type LogFiles, type LogMedium, type LogStaging, type StagedFile } from '../logs/files.ts';
import type { Bucket } from './bucket.ts';
import { readBody } from './download.ts';
import { GrowingKeys, NumberedKeys } from './numbered-keys.ts';

/** Logs in a bucket: their paths are keys, their folders are what keys have in common. */
export function bucketMedium(bucket: Bucket): LogMedium {
  const known = new Map<string, number>();
  return {
    files: bucketFiles(bucket),
    staging: new MemoryStaging(bucket),
    numbered: (folder, kind) =>
      kind === 'grows' ? new GrowingKeys(bucket, folder, known) : new NumberedKeys(bucket, folder),
  };
}

function bucketFiles(bucket: Bucket): LogFiles {
  return {
    async list(folder) {
      const found: { name: string; isFolder: boolean }[] = [];
      const prefix = `${folder.replace(/\/$/, '')}/`;
      for await (const { objects, folders } of bucket.list(prefix, { folders: true })) {
        for (const name of folders) found.push({ name, isFolder: true });
        for (const { key } of objects) found.push({ name: key.slice(prefix.length), isFolder: false });
      }
      return found;
    },
    readWhole: (path) => readBody(bucket, path),
    async readRange(path, offset, lengthBytes) {
      return lengthBytes === 0 ? new Uint8Array() : await readBody(bucket, path, { offset, lengthBytes });
    },
    facts: (path) => bucket.facts(path),
    remove: (path) => bucket.delete(path),
    removeFolder: async () => {},
  };
}

/**
 * Log files are small (an entry, a segment, a pack of a few megabytes), so they wait in memory for their name. S3 shows
 * an object whole or not at all; `If-None-Match: *` is what `link()` is on disk.
 */
class MemoryStaging implements LogStaging {
  readonly #bucket: Bucket;
  readonly #waiting = new Map<string, { bytes: Uint8Array; digest: Digest }>();

  constructor(bucket: Bucket) {
    this.#bucket = bucket;
  }

  async stage(body: AsyncIterable<unknown> | Uint8Array): Promise<StagedFile> {
    const bytes = body instanceof Uint8Array ? body : await buffer(body as AsyncIterable<Uint8Array>);
    const path = `staged/${randomUUID()}`;
    const digest = digestOf(bytes);
    this.#waiting.set(path, { bytes, digest });
    return { path, digest, sizeBytes: bytes.length };
  }

  async publish(staged: StagedFile, final: string): Promise<'created' | 'exists'> {
    const { bytes, digest } = this.#waiting.get(staged.path)!;
    if ((await this.#bucket.create(final, bytes, digest)) === 'created') return 'created';
    return (await this.#isOurs(final, digest)) ? 'created' : 'exists';
  }

  async replace(staged: StagedFile, final: string): Promise<void> {
    const { bytes, digest } = this.#waiting.get(staged.path)!;
    await this.#bucket.replace(final, bytes, digest);
  }

  async discard(path: string): Promise<void> {
    if (!this.#waiting.delete(path)) await this.#bucket.delete(path).catch(() => {});
  }

  /**
   * The reply to our own write may have been lost, and its repetition found what it had made. The bytes are what ours
   * are, or they are another's; a log cannot tell two writers of equal bytes apart, and need not.
   */
  async #isOurs(key: string, digest: Digest): Promise<boolean> {
    try {
      return digestOf(await readBody(this.#bucket, key)) === digest;
    } catch (error) {
      // Gone again: a segment that was packed.
      if (hasCode(error, 'ENOENT')) return false;
      throw error;
    }
  }
}
