import type { Digest } from '../contracts/digest.ts';
import type { RefPosition } from '../contracts/messages.ts';
import type { Ref, Store, Why } from '../store/types.ts';

/** What workflows carry of a ref. */
export const positionOf = (ref: Ref | undefined): RefPosition | null =>
  ref ? { entry: ref.entry, digest: ref.digest, operation: ref.operation } : null;

/** The expected entry of a compare-and-set as workflow state knows it; the store compares place, digest and operation. */
export function asRef(name: string, position: RefPosition | null): Ref | undefined {
  return position ? { name, ...position, by: '', reason: '', time: '' } : undefined;
}

/**
 * Appends to a log that many may write (versions, reports, pins): the operation key makes it once, the order among
 * writers does not matter. A late worker that comes again finds its own entry.
 */
export async function appendRef(store: Store, name: string, digest: Digest, why: Why): Promise<Ref> {
  while (true) {
    const newest = await store.refs.read(name);
    for await (const entry of store.refs.history(name)) if (entry.operation === why.operation) return entry;
    try {
      return await store.refs.compareAndSet(name, newest, digest, why);
    } catch (error) {
      if ((await store.refs.read(name))?.entry === newest?.entry) throw error;
    }
  }
}
