import type { LogFiles } from '../files.ts';
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
  files: LogFiles,
  log: ReplicaLog,
  { olderThan, dryRun }: { olderThan: Date; dryRun: boolean },
): Promise<DroppedCaptures> {
  const dropped: DroppedCaptures = { packs: 0, replicas: 0, bytes: 0 };
  const packs = await log.packRanges();
  for (const pack of packs) {
    if (pack.toMs >= olderThan.getTime()) continue;
    dropped.packs += 1;
    for (const path of [log.bodyPath(pack), log.indexPath(pack)]) dropped.bytes += (await files.facts(path)).sizeBytes;
    if (!dryRun) await removePack(files, log, pack);
  }
  const shards = await log.files.shards();
  const newest = shards.flatMap(({ numbers }) => numbers).at(-1);
  if (dropped.packs < packs.length) return dropped;
  if (newest !== undefined && !(await wroteLastBefore(files, log, newest, olderThan))) return dropped;

  dropped.replicas = 1;
  for (const { folder, numbers } of shards) {
    for (const number of numbers) {
      dropped.bytes += (await files.facts(log.files.path(number))).sizeBytes;
      if (!dryRun) await removeIfThere(files, log.files.path(number));
    }
    if (!dryRun) await removeFolderIfEmpty(files, folder);
  }
  if (!dryRun) for (const folder of [log.packs, log.folder]) await removeFolderIfEmpty(files, folder);
  return dropped;
}

/** By the file's time: a replica's clock does not matter here, and its last append does. */
async function wroteLastBefore(files: LogFiles, log: ReplicaLog, newest: number, olderThan: Date): Promise<boolean> {
  return (await files.facts(log.files.path(newest))).modifiedAtMs < olderThan.getTime();
}
