import type { Ref, RefStore } from './types.ts';

/** How long the past of a ref stays complete: "what served at time T" has its blobs for every T in it. */
export const defaultRetentionMs = 90 * 86_400_000;

/** Newest first: the entries of a ref that were in force at some time since then. The newest one always is. */
export async function* entriesInForce(refs: RefStore, name: string, since: Date): AsyncIterable<Ref> {
  for await (const entry of refs.history(name)) {
    yield entry;
    if (Date.parse(entry.time) <= since.getTime()) return;
  }
}
