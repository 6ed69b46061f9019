import type { FsOps } from '../fs-ops.ts';
import { removeFolderIfEmpty, removeIfThere, removePack } from './packing.ts';
import type { ReplicaLog } from './replica-log.ts';

export interface DroppedCaptures {
  /** Packs of which every record is old. */
  packs: number;
  /** Replicas of which every record is old: they are gone for good. */
  replicas: number;
  bytes: number;
}

/**
 * Drops what is older than a time: whole packs, oldest first, and, when nothing newer is left, all of a replica. What is
 * not packed stays until it is.
 */
export async function dropOlder(
  ops: FsOps,
  log: ReplicaLog,
  { olderThan, dryRun }: { olderThan: Date; dryRun: boolean },
): Promise<DroppedCaptures> {
  const dropped: DroppedCaptures = { packs: 0, replicas: 0, bytes: 0 };
  const packs = await log.packRanges();
  for (const pack of packs) {
    if (pack.toMs >= olderThan.getTime()) continue;
    dropped.packs += 1;
    for (const path of [log.bodyPath(pack), log.indexPath(pack)]) dropped.bytes += (await ops.facts(path)).sizeBytes;
    if (!dryRun) await removePack(ops, log, pack);
  }
  const shards = await log.files.shards();
  const newest = shards.flatMap(({ numbers }) => numbers).at(-1);
  if (dropped.packs < packs.length) return dropped;
  if (newest !== undefined && !(await wroteLastBefore(ops, log, newest, olderThan))) return dropped;

  dropped.replicas = 1;
  for (const { folder, numbers } of shards) {
    for (const number of numbers) {
      dropped.bytes += (await ops.facts(log.files.path(number))).sizeBytes;
      if (!dryRun) await removeIfThere(ops, log.files.path(number));
    }
    if (!dryRun) await removeFolderIfEmpty(ops, folder);
  }
  if (!dryRun) for (const folder of [log.packs, log.folder]) await removeFolderIfEmpty(ops, folder);
  return dropped;
}

/** By the file's time: a replica's clock does not matter here, and its last append does. */
async function wroteLastBefore(ops: FsOps, log: ReplicaLog, newest: number, olderThan: Date): Promise<boolean> {
  return (await ops.facts(log.files.path(newest))).modifiedAtMs < olderThan.getTime();
}
