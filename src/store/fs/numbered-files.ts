import { join } from 'node:path';
import { listOrNothing, type Numbered } from '../logs/files.ts';
import type { FsOps } from './fs-ops.ts';

const filesPerShard = 1000;

/**
 * Files numbered 1, 2, 3 … in folders of a thousand, so that finding the newest stays cheap after years. Files are made
 * with `Staging`, so a number is either there and whole, or free.
 */
export class NumberedFiles implements Numbered {
  readonly #ops: FsOps;
  readonly #folder: string;

  constructor(ops: FsOps, folder: string) {
    this.#ops = ops;
    this.#folder = folder;
  }

  path(number: number): string {
    return join(this.#folder, shardName(number), String(number).padStart(9, '0'));
  }

  /** 0 when there is none. */
  async newest(): Promise<number> {
    // The last shard is empty when its maker died between making the folder and the file.
    for (const shard of (await this.#numbersIn(this.#folder)).reverse()) {
      const newest = (await this.#numbersIn(join(this.#folder, shardFolder(shard)))).at(-1);
      if (newest !== undefined) return newest;
    }
    return 0;
  }

  /** Numbers above `after` that exist, ascending. */
  async *after(after: number): AsyncIterable<number> {
    const first = Math.floor((after + 1) / filesPerShard);
    for (const shard of await this.#numbersIn(this.#folder)) {
      if (shard < first) continue;
      yield* (await this.#withoutGaps(join(this.#folder, shardFolder(shard)))).filter((number) => number > after);
    }
  }

  /** Folders, ascending, with their files. */
  async shards(): Promise<{ folder: string; numbers: number[] }[]> {
    const shards: { folder: string; numbers: number[] }[] = [];
    for (const shard of await this.#numbersIn(this.#folder)) {
      const folder = join(this.#folder, shardFolder(shard));
      shards.push({ folder, numbers: await this.#numbersIn(folder) });
    }
    return shards;
  }

  /**
   * A listing that runs while two files appear may show the later one and miss the earlier (readdir(3) leaves that
   * open), and a reader that went past the gap would never come back to it. Whatever was there before the later one is
   * in a second listing.
   */
  async #withoutGaps(folder: string): Promise<number[]> {
    const numbers = await this.#numbersIn(folder);
    const last = numbers.at(-1);
    if (last === undefined || numbers.length === last - firstInShard(last) + 1) return numbers;
    return (await this.#numbersIn(folder)).filter((number) => number <= last);
  }

  async #numbersIn(folder: string): Promise<number[]> {
    return (await listOrNothing(this.#ops, folder))
      .filter(({ name }) => /^\d+$/.test(name))
      .map(({ name }) => Number(name))
      .sort((a, b) => a - b);
  }
}

const firstInShard = (number: number): number => Math.max(1, number - (number % filesPerShard));
const shardFolder = (shard: number): string => String(shard).padStart(6, '0');
const shardName = (number: number): string => shardFolder(Math.floor(number / filesPerShard));
