import type { Bucket, ObjectFacts } from './bucket.ts';

/** A listing is believed for so long; collections take nothing that a listing showed as young for days. */
const believedMs = 60_000;
/** One page. A shard with more is asked object by object. */
const page = 1_000;

interface Shard {
  /** Undefined: more than a page, so what is missing may be there. */
  complete: boolean;
  objects: Map<string, ObjectFacts>;
}

/**
 * What is in the bucket already, for many puts in a row. The second question about a shard within a minute is answered by
 * a listing, and so are the ones after it: a thousand answers for the price of twelve.
 */
export class Presence {
  readonly #bucket: Bucket;
  readonly #asked = new Map<string, { atMs: number; shard?: Promise<Shard> }>();

  constructor(bucket: Bucket) {
    this.#bucket = bucket;
  }

  /** Facts of the object, `absent`, or `unknown` when nobody has looked. @param shard prefix of the key, with its slash */
  async find(shard: string, key: string): Promise<ObjectFacts | 'absent' | 'unknown'> {
    const now = performance.now();
    const asked = this.#asked.get(shard);
    if (!asked || now - asked.atMs > believedMs) {
      this.#asked.set(shard, { atMs: now });
      return 'unknown';
    }
    if (!asked.shard) {
      asked.atMs = now;
      asked.shard = this.#list(shard);
      // A failed listing is no answer; the next question asks again.
      asked.shard.catch(() => this.#asked.delete(shard));
    }
    const { complete, objects } = await asked.shard;
    return objects.get(key) ?? (complete ? 'absent' : 'unknown');
  }

  /** What this process has just written or renewed. */
  async add(shard: string, key: string, facts: ObjectFacts): Promise<void> {
    (await this.#asked.get(shard)?.shard)?.objects.set(key, facts);
  }

  forget(shard: string): void {
    this.#asked.delete(shard);
  }

  async #list(shard: string): Promise<Shard> {
    const objects = new Map<string, ObjectFacts>();
    let complete = true;
    for await (const found of this.#bucket.list(shard, { most: page, pages: 1 })) {
      for (const { key, ...facts } of found.objects) objects.set(key, facts);
      complete = found.isLast;
    }
    return { complete, objects };
  }
}
