import { createWriteStream } from 'node:fs';
import { mkdir, rename } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { pipeline } from 'node:stream/promises';
import { isSafeRelativePath } from '../../contracts/digest.ts';
import { digestOf } from '../../store/canonical-json.ts';
import type { Bucket } from '../../store/s3/bucket.ts';

/** The part of the store's bucket that jobs and their submitters share. */
export class JobBucket {
  readonly name: string;
  readonly #bucket: Bucket;

  constructor(name: string, bucket: Bucket) {
    this.name = name;
    this.#bucket = bucket;
  }

  async put(key: string, body: Uint8Array | string): Promise<void> {
    const bytes = Buffer.from(body);
    await this.#bucket.replace(key, bytes, digestOf(bytes));
  }

  /** False when the key exists; whose it is, the caller reads. A lost reply looks the same. */
  async putOnce(key: string, body: Uint8Array | string): Promise<boolean> {
    const bytes = Buffer.from(body);
    return (await this.#bucket.create(key, bytes, digestOf(bytes))) === 'created';
  }

  /** Undefined when there is no such object; so below. */
  async read<T>(key: string): Promise<T | undefined> {
    const body = await this.open(key);
    return body && (JSON.parse((await buffer(body)).toString('utf8')) as T);
  }

  async open(key: string): Promise<Readable | undefined> {
    try {
      return (await this.#bucket.get(key)).body;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  }

  async remove(key: string): Promise<void> {
    await this.#bucket.delete(key);
  }

  /** Every object below a prefix becomes a file; each appears whole. Keys that are no safe paths are not ours. */
  async download(prefix: string, folder: string): Promise<void> {
    for await (const { objects } of this.#bucket.list(prefix)) {
      for (const { key } of objects) {
        const path = key.slice(prefix.length);
        const body = isSafeRelativePath(path) ? await this.open(key) : undefined;
        if (!body) continue;
        const to = join(folder, path);
        await mkdir(dirname(to), { recursive: true });
        await pipeline(body, createWriteStream(`${to}.goto3-part`));
        await rename(`${to}.goto3-part`, to);
      }
    }
  }
}
