import { randomUUID } from 'node:crypto';
import { type FileHandle, mkdir, open, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../contracts/digest.ts';
import { digestOf } from '../canonical-json.ts';
import { fileDigest } from '../file-digest.ts';

/** After so much of the budget was written, the folder is measured again: other processes write too. */
const measureEvery = 1 / 8;
/** What a killed process left half written. */
const leftoverAfterMs = 86_400_000;

/**
 * Blobs on local disk, read through: `<folder>/<first two digits>/<64 digits>`. Any number of processes share a folder:
 * a file appears whole under its name by rename, and one that is removed while it is read stays readable. Whatever fails
 * here costs a download and nothing else, so no error of the disk leaves this class; and every use checks the digest.
 */
export class BlobCache {
  readonly #folder: string;
  readonly #budgetBytes: number;
  #writtenSinceMeasured = Number.POSITIVE_INFINITY;

  constructor(folder: string, budgetBytes: number) {
    this.#folder = folder;
    this.#budgetBytes = budgetBytes;
  }

  async read(digest: Digest): Promise<Uint8Array | undefined> {
    const handle = await this.#open(digest);
    if (!handle) return undefined;
    try {
      const bytes = await handle.readFile();
      if (digestOf(bytes) === digest) return bytes;
      await this.#drop(digest);
      return undefined;
    } catch {
      return undefined;
    } finally {
      await handle.close();
    }
  }

  /** An open file with the right bytes; checked first, so that wrong ones still can be fetched. */
  async open(digest: Digest): Promise<FileHandle | undefined> {
    const handle = await this.#open(digest);
    if (!handle) return undefined;
    try {
      // Through the name; a file that took the place meanwhile is as good, and the reader checks what it reads.
      if ((await fileDigest(this.#path(digest))) === digest) return handle;
      await this.#drop(digest);
    } catch {
      // Removed by another process, or the disk is broken.
    }
    await handle.close();
    return undefined;
  }

  /** Takes the bytes of a blob as they arrive; undefined when it would not fit, or cannot be written. */
  async entry(digest: Digest, sizeBytes: number): Promise<CacheEntry | undefined> {
    if (sizeBytes > this.#budgetBytes / 2) return undefined;
    try {
      const incoming = join(this.#folder, 'incoming');
      await mkdir(incoming, { recursive: true, mode: 0o700 });
      const path = join(incoming, randomUUID());
      const handle = await open(path, 'wx', 0o600);
      return new CacheEntry(handle, path, async () => {
        await mkdir(join(this.#path(digest), '..'), { recursive: true, mode: 0o700 });
        await rename(path, this.#path(digest));
        await this.#account(sizeBytes);
      });
    } catch {
      return undefined;
    }
  }

  async #open(digest: Digest): Promise<FileHandle | undefined> {
    try {
      const handle = await open(this.#path(digest), 'r');
      const now = new Date();
      // Its time is when it was last used. Not ours to set, perhaps; then it goes earlier.
      await utimes(this.#path(digest), now, now).catch(() => {});
      return handle;
    } catch {
      return undefined;
    }
  }

  async #drop(digest: Digest): Promise<void> {
    await rm(this.#path(digest), { force: true }).catch(() => {});
  }

  async #account(bytes: number): Promise<void> {
    this.#writtenSinceMeasured += bytes;
    if (this.#writtenSinceMeasured < this.#budgetBytes * measureEvery) return;
    this.#writtenSinceMeasured = 0;
    await this.#trim();
  }

  /** Removes what was not used for the longest, until a measure's worth of room is free. */
  async #trim(): Promise<void> {
    const files: { path: string; sizeBytes: number; usedAtMs: number }[] = [];
    for (const shard of await readdir(this.#folder))
      for (const name of await readdir(join(this.#folder, shard)).catch(() => [])) {
        const path = join(this.#folder, shard, name);
        const facts = await stat(path).catch(() => undefined);
        if (!facts?.isFile()) continue;
        if (shard !== 'incoming') files.push({ path, sizeBytes: facts.size, usedAtMs: facts.mtimeMs });
        else if (facts.mtimeMs < Date.now() - leftoverAfterMs) await rm(path, { force: true });
      }
    let total = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    for (const { path, sizeBytes } of files.sort((a, b) => a.usedAtMs - b.usedAtMs)) {
      if (total <= this.#budgetBytes * (1 - measureEvery)) return;
      await rm(path, { force: true });
      total -= sizeBytes;
    }
  }

  #path(digest: Digest): string {
    const digits = digest.slice('sha256:'.length);
    return join(this.#folder, digits.slice(0, 2), digits);
  }
}

/** A blob on its way into the cache. */
export class CacheEntry {
  readonly #handle: FileHandle;
  readonly #path: string;
  readonly #place: () => Promise<void>;
  #broken = false;

  constructor(handle: FileHandle, path: string, place: () => Promise<void>) {
    this.#handle = handle;
    this.#path = path;
    this.#place = place;
  }

  async write(bytes: Uint8Array): Promise<void> {
    if (this.#broken) return;
    try {
      await this.#handle.writeFile(bytes);
    } catch {
      this.#broken = true;
    }
  }

  /** @param isRight the reader has checked the digest of all that it passed on: the file gets its name; else it goes */
  async end(isRight: boolean): Promise<void> {
    try {
      await this.#handle.close();
      if (isRight && !this.#broken) return await this.#place();
    } catch {
      // No room, no right: it stays out of the cache.
    }
    await rm(this.#path, { force: true }).catch(() => {});
  }
}
