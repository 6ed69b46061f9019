import { createHash, randomUUID } from 'node:crypto';
import { dirname, join } from 'node:path';
import { InvalidInput } from '../errors.ts';
import { hasCode, type LogStaging, type StagedFile } from '../logs/files.ts';
import type { FsOps, NewFile } from './fs-ops.ts';

/**
 * How every file of the store comes to be: written and synced under a temporary name, then linked to its final one,
 * which is never opened for writing. A reader sees a whole file or none, at every point where this process can die.
 *
 * Temporary files have one folder of their own in the same file system: a stream's digest, and so its final folder, is
 * known at its end only, and what a killed process left is found in one place.
 */
export class Staging implements LogStaging {
  readonly #ops: FsOps;
  readonly #root: string;
  readonly #incoming: string;
  /** Folders whose names this process has made durable, all the way from the root. */
  readonly #durable = new Set<string>();

  constructor(ops: FsOps, root: string) {
    this.#ops = ops;
    this.#root = root;
    this.#incoming = join(root, 'incoming');
  }

  async stage(body: AsyncIterable<unknown> | Uint8Array): Promise<StagedFile> {
    await this.#makeDurable(this.#incoming);
    const path = join(this.#incoming, `${process.pid}-${randomUUID()}`);
    const file = await this.#ops.createFile(path);
    try {
      const written = await write(file, body);
      // A failed fsync is never repeated on the same file: the kernel may have dropped the pages and would then report
      // success. The caller's retry writes a new file.
      await file.sync();
      await file.close();
      return { path, ...written };
    } catch (error) {
      await file.close().catch(() => {});
      await this.discard(path);
      throw error;
    }
  }

  /**
   * Gives the staged file its final name if nobody has it. Either way the name that stands there is durable on return:
   * whoever made it may have died before syncing the folder.
   */
  async publish(staged: StagedFile, final: string): Promise<'created' | 'exists'> {
    const folder = dirname(final);
    await this.#makeDurable(folder);
    try {
      return await this.#linkAndSync(staged.path, final);
    } catch (error) {
      // The folder was emptied and removed since this process made it.
      if (!hasCode(error, 'ENOENT')) throw error;
      this.#durable.clear();
      await this.#makeDurable(folder);
      return await this.#linkAndSync(staged.path, final);
    }
  }

  /** Makes a name durable that another process has made. */
  async settleName(final: string): Promise<void> {
    await this.#makeDurable(dirname(final));
    await this.#ops.syncFolder(dirname(final));
  }

  /** Puts the staged file in place of a damaged one. */
  async replace(staged: StagedFile, final: string): Promise<void> {
    await this.#ops.rename(staged.path, final);
    await this.#ops.syncFolder(dirname(final));
  }

  /** A temporary file that cannot be removed costs space until the next clean-up, and nothing else. */
  async discard(path: string): Promise<void> {
    await this.#ops.remove(path).catch(() => {});
  }

  /** Removes what killed processes left; returns how many. */
  async removeLeftovers(olderThan: Date): Promise<number> {
    let removed = 0;
    await this.#makeDurable(this.#incoming);
    for (const { name } of await this.#ops.list(this.#incoming)) {
      const path = join(this.#incoming, name);
      try {
        if ((await this.#ops.facts(path)).modifiedAtMs >= olderThan.getTime()) continue;
        await this.#ops.remove(path);
        removed += 1;
      } catch (error) {
        if (!hasCode(error, 'ENOENT')) throw error;
      }
    }
    return removed;
  }

  async #linkAndSync(from: string, final: string): Promise<'created' | 'exists'> {
    const outcome = await this.#link(from, final);
    await this.#ops.syncFolder(dirname(final));
    return outcome;
  }

  async #link(from: string, final: string): Promise<'created' | 'exists'> {
    try {
      await this.#ops.link(from, final);
      return 'created';
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
      // NFS may lose the reply of a link that was made and answer the repeated request with EEXIST; the link count of
      // our own file tells (open(2), on O_EXCL).
      return (await this.#ops.facts(from)).links > 1 ? 'created' : 'exists';
    }
  }

  /** A folder that exists may still be lost by a power cut if its maker died before syncing the folder above. */
  async #makeDurable(folder: string): Promise<void> {
    if (this.#durable.has(folder)) return;
    if (folder !== this.#root) {
      await this.#makeDurable(dirname(folder));
      await this.#ops.makeFolder(folder);
      await this.#ops.syncFolder(dirname(folder));
    }
    this.#durable.add(folder);
  }
}

async function write(file: NewFile, body: AsyncIterable<unknown> | Uint8Array): Promise<Omit<StagedFile, 'path'>> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  for await (const chunk of body instanceof Uint8Array ? [body] : body) {
    const bytes = bytesOf(chunk);
    hash.update(bytes);
    sizeBytes += bytes.length;
    await file.write(bytes);
  }
  return { digest: `sha256:${hash.digest('hex')}`, sizeBytes };
}

function bytesOf(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  if (typeof chunk === 'string') return Buffer.from(chunk, 'utf8');
  throw new InvalidInput(`blob body: expected a stream of bytes, got a chunk of type ${typeof chunk}`);
}
