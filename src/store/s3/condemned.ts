import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { StoreUnavailable } from '../errors.ts';
import { hasCode } from '../logs/files.ts';
import type { Bucket, ObjectFacts } from './bucket.ts';

/** From mark to deletion takes milliseconds; a collection that was stopped for longer begins again. */
const decideWithinMs = 60_000;
/** A mark this old is of a killed collection. */
const abandonedAfterMs = 3_600_000;
const waitAtMostMs = 30_000;

/**
 * How a collection deletes an object that a writer may renew at the same moment. S3 has no "delete if not modified since":
 * so the collection leaves a mark first, looks at the age after it, deletes, and takes the mark away; and the writer renews
 * first, and looks for marks and then for the object after it. Either the collection sees the new age and keeps the object,
 * or the writer waits for the mark to go and then sees whether the object went too. Each collection has a mark of its own,
 * so that one cannot take away another's.
 */
export class Condemned {
  readonly #bucket: Bucket;
  readonly #folder: string;

  /** @param folder of the marks */
  constructor(bucket: Bucket, folder: string) {
    this.#bucket = bucket;
    this.#folder = folder;
  }

  /** Deletes the object unless it is young. False when it is gone, or young after all. */
  async deleteUnless(key: string, name: string, isYoung: (facts: ObjectFacts) => boolean): Promise<boolean> {
    if (await this.#isYoungOrGone(key, isYoung)) return false;
    const mark = `${this.#folder}/${name}/${randomUUID()}`;
    const markedAt = performance.now();
    await this.#bucket.replace(mark, new Uint8Array(), emptyDigest);
    if (await this.#isYoungOrGone(key, isYoung)) {
      await this.#bucket.delete(mark);
      return false;
    }
    if (performance.now() - markedAt > decideWithinMs) {
      await this.#bucket.delete(mark);
      return await this.deleteUnless(key, name, isYoung);
    }
    // Not tried again by anybody: a repetition could come after a writer has made the object anew. A failure leaves the
    // mark, and writers wait for it until it is old.
    await this.#bucket.deleteOnce(key);
    await this.#bucket.delete(mark);
    return true;
  }

  /**
   * After an object was renewed: whether it is still there when no collection is deciding about it any more.
   * @throws StoreUnavailable when one takes too long
   */
  async survives(key: string, name: string): Promise<boolean> {
    const deadline = performance.now() + waitAtMostMs;
    while (await this.#isMarked(name)) {
      if (performance.now() > deadline)
        throw new StoreUnavailable(
          'Condemned',
          'renew',
          this.#bucket.where(key),
          undefined,
          'a collection is deciding about it',
        );
      await delay(100 + Math.random() * 200);
    }
    return !(await this.#isYoungOrGone(key, () => false));
  }

  /** Takes away the marks of killed collections. */
  async removeAbandoned(now: Date): Promise<void> {
    for await (const { objects } of this.#bucket.list(`${this.#folder}/`))
      for (const { key, modifiedAtMs } of objects)
        if (modifiedAtMs < now.getTime() - abandonedAfterMs) await this.#bucket.delete(key);
  }

  async #isMarked(name: string): Promise<boolean> {
    for await (const { objects } of this.#bucket.list(`${this.#folder}/${name}/`))
      if (objects.some(({ modifiedAtMs }) => modifiedAtMs >= Date.now() - abandonedAfterMs)) return true;
    return false;
  }

  async #isYoungOrGone(key: string, isYoung: (facts: ObjectFacts) => boolean): Promise<boolean> {
    try {
      return isYoung(await this.#bucket.facts(key));
    } catch (error) {
      if (hasCode(error, 'ENOENT')) return true;
      throw error;
    }
  }
}

const emptyDigest = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
