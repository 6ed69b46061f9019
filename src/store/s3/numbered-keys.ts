import type { Numbered } from '../logs/files.ts';
import { hasCode } from '../logs/files.ts';
import type { Bucket } from './bucket.ts';

/** Above every number that a log reaches: at one append a millisecond, 31 years. */
const ceiling = 999_999_999_999;
const digits = String(ceiling).length;

/**
 * Numbers as keys that sort newest first, so that the newest is the first answer of a listing however long the log is.
 *
 * A listing in this order needs no second look for gaps: whoever wrote number n + 1 had seen n, so a listing that shows
 * n + 1 and reads on to n finds it. A server that lists a folder in another order than it reports (POSIX gateways do)
 * does not promise that; there a gap is looked at again.
 */
export class NumberedKeys implements Numbered {
  readonly #bucket: Bucket;
  readonly #folder: string;

  constructor(bucket: Bucket, folder: string) {
    this.#bucket = bucket;
    this.#folder = folder;
  }

  path(number: number): string {
    return `${this.#folder}/${String(ceiling - number).padStart(digits, '0')}`;
  }

  async newest(): Promise<number> {
    // Other folders lie beside the numbers; digits sort before their "@".
    for await (const { objects } of this.#bucket.list(`${this.#folder}/`, { most: 1, pages: 1 }))
      for (const { key } of objects) return this.#numberOf(key) ?? 0;
    return 0;
  }

  async *after(after: number): AsyncIterable<number> {
    const numbers = await this.#above(after);
    const [newest, oldest] = [numbers[0], numbers.at(-1)];
    if (newest === undefined || oldest === undefined) return;
    const complete = oldest === after + 1 && numbers.length === newest - after;
    const all = complete ? numbers : (await this.#above(after)).filter((number) => number <= newest);
    yield* all.reverse();
  }

  async shards(): Promise<{ folder: string; numbers: number[] }[]> {
    const numbers = (await this.#above(0)).reverse();
    return numbers.length === 0 ? [] : [{ folder: this.#folder, numbers }];
  }

  /** Newest first. */
  async #above(after: number): Promise<number[]> {
    const numbers: number[] = [];
    for await (const { objects } of this.#bucket.list(`${this.#folder}/`, { folders: true }))
      for (const { key } of objects) {
        const number = this.#numberOf(key);
        if (number === undefined) continue;
        if (number <= after) return numbers;
        numbers.push(number);
      }
    return numbers;
  }

  #numberOf(key: string): number | undefined {
    const name = key.slice(this.#folder.length + 1);
    return /^\d{12}$/.test(name) ? ceiling - Number(name) : undefined;
  }
}

/**
 * The same for logs of which nothing is ever deleted: what was the newest once is the place to look on from, and asking
 * for one key costs a twelfth of a listing (S3 pricing, GET against LIST). Replicas ask for their ref twice a second.
 */
export class GrowingKeys extends NumberedKeys {
  readonly #bucket: Bucket;
  readonly #known: Map<string, number>;
  readonly #name: string;

  /** @param known the newest by folder, of this process */
  constructor(bucket: Bucket, folder: string, known: Map<string, number>) {
    super(bucket, folder);
    this.#bucket = bucket;
    this.#name = folder;
    this.#known = known;
  }

  override async newest(): Promise<number> {
    const known = this.#known.get(this.#name);
    if (known !== undefined && !(await this.#isThere(known + 1))) return known;
    const newest = await super.newest();
    if (newest > 0) remember(this.#known, this.#name, newest);
    return newest;
  }

  async #isThere(number: number): Promise<boolean> {
    try {
      await this.#bucket.facts(this.path(number));
      return true;
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return false;
      throw error;
    }
  }
}

const mostKnown = 10_000;

function remember(known: Map<string, number>, name: string, newest: number): void {
  // The oldest goes: maps keep the order of insertion.
  if (known.size >= mostKnown) known.delete(known.keys().next().value as string);
  known.set(name, newest);
}
