import type { Digest } from '../contracts/digest.ts';
import { NotFound } from './errors.ts';
import { defaultRetentionMs, entriesInForce } from './in-force.ts';
import { mentions } from './mentions.ts';
import type { KeptStore, StoredBlob } from './upkeep.ts';

const dayMs = 86_400_000;
/** Deletions between two looks at the refs. */
const deletionsPerLook = 200;

export interface GarbageOptions {
  /** How far back the past of refs is kept; 90 days. */
  retentionMs?: number;
  /** Blobs put more recently are kept, and so is what they mention; 7 days. */
  minAgeMs?: number;
  dryRun?: boolean;
  now?: Date;
}

export interface GarbageReport {
  /** Blobs looked at. */
  scanned: number;
  /** Kept because a ref reaches them. */
  reachable: number;
  /** Kept because they, or what mentions them, are young. */
  keptByAge: number;
  /** Deleted; in a dry run, what would be. */
  deleted: number;
  deletedBytes: number;
  /** Unfinished writes of killed processes that were removed. */
  leftovers: number;
}

/**
 * Deletes the blobs that nothing needs: no ref entry in force within retention reaches them (the newest entry of every
 * ref always counts, pins are refs), nobody put them for a week, and nothing younger mentions them. A document reaches
 * every digest in its text. Newest first, so that a killed run leaves no document whose parts are gone.
 *
 * Throws `CorruptBlob` or `CorruptLog` before anything is deleted when a document or a log cannot be trusted.
 */
export async function collectGarbage(store: KeptStore, options: GarbageOptions = {}): Promise<GarbageReport> {
  const { retentionMs = defaultRetentionMs, minAgeMs = 7 * dayMs, dryRun = false, now = new Date() } = options;
  const since = new Date(now.getTime() - retentionMs);
  const olderThan = new Date(now.getTime() - minAgeMs);
  const leftovers = dryRun ? 0 : await cleanUp(store, now, olderThan);

  const blobs: StoredBlob[] = [];
  for await (const blob of store.upkeep.blobs()) blobs.push(blob);
  const reachable = new Set<Digest>();
  const seen = new Map<string, number>();
  await markFromRefs(store, since, reachable, seen);
  const kept = new Set(reachable);
  await mark(
    store,
    blobs.filter((blob) => blob.renewedAt >= olderThan).map((blob) => blob.digest),
    kept,
  );

  const garbage = blobs
    .filter((blob) => !kept.has(blob.digest))
    .sort((a, b) => b.renewedAt.getTime() - a.renewedAt.getTime());
  const deleted = dryRun ? garbage : await deleteAll(store, garbage, { since, olderThan, kept, seen });
  return {
    scanned: blobs.length,
    reachable: blobs.filter((blob) => reachable.has(blob.digest)).length,
    keptByAge: blobs.filter((blob) => kept.has(blob.digest) && !reachable.has(blob.digest)).length,
    deleted: deleted.length,
    deletedBytes: deleted.reduce((sum, blob) => sum + blob.sizeBytes, 0),
    leftovers,
  };
}

async function cleanUp(store: KeptStore, now: Date, olderThan: Date): Promise<number> {
  await store.upkeep.finishDeletions(olderThan);
  return store.upkeep.removeLeftovers(new Date(now.getTime() - dayMs));
}

/** Refs move while blobs are deleted: what they reach by now is looked up again before every batch. */
async function deleteAll(
  store: KeptStore,
  garbage: readonly StoredBlob[],
  { since, olderThan, kept, seen }: { since: Date; olderThan: Date; kept: Set<Digest>; seen: Map<string, number> },
): Promise<StoredBlob[]> {
  const deleted: StoredBlob[] = [];
  for (let start = 0; start < garbage.length; start += deletionsPerLook) {
    await markFromRefs(store, since, kept, seen);
    for (const blob of garbage.slice(start, start + deletionsPerLook)) {
      if (kept.has(blob.digest)) continue;
      if (await store.upkeep.deleteIfOlder(blob.digest, olderThan)) deleted.push(blob);
    }
  }
  return deleted;
}

/** `seen` has the newest entry of each ref at the last look: a log only grows, so only what is newer is looked at again. */
async function markFromRefs(
  store: KeptStore,
  since: Date,
  marked: Set<Digest>,
  seen: Map<string, number>,
): Promise<void> {
  for await (const name of store.refs.list('')) {
    const known = seen.get(name) ?? 0;
    for await (const { entry, digest } of entriesInForce(store.refs, name, since)) {
      if (entry <= known) break;
      seen.set(name, Math.max(entry, seen.get(name) ?? 0));
      await mark(store, [digest], marked);
    }
  }
}

/** Adds the digests and all that they reach. A digest without a blob (of a program's file, say) reaches nothing. */
async function mark(store: KeptStore, from: readonly Digest[], marked: Set<Digest>): Promise<void> {
  const pending = from.filter((digest) => !marked.has(digest));
  for (let digest = pending.pop(); digest !== undefined; digest = pending.pop()) {
    if (marked.has(digest)) continue;
    marked.add(digest);
    try {
      for (const mentioned of await mentions(store, digest)) if (!marked.has(mentioned)) pending.push(mentioned);
    } catch (error) {
      if (!(error instanceof NotFound)) throw error;
    }
  }
}
