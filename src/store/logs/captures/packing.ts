import { join } from 'node:path';
import type { CaptureRecord } from '../../../contracts/endpoint.ts';
import { ahead, inParallel } from '../../in-parallel.ts';
import { hasCode, type LogFiles, type LogMedium, type LogStaging, listOrNothing, type StagedFile } from '../files.ts';
import { encodeIndex, type IndexedSegment } from './pack-index.ts';
import type { PackRange } from './pack-name.ts';
import { coveredBy, type ReplicaLog } from './replica-log.ts';
import { decodeSegment } from './segment.ts';

/** A body waits this long for its index; no run takes nearly as long. */
const orphanAfterMs = 3_600_000;

/** A pack is closed at this size: large enough that years have few, small enough that joining one is cheap. */
const closedAtBytes = 4 * 2 ** 20;
/** A bucket takes its time for each. */
const filesAtOnce = 16;
/** Files that stay unpacked cost a reader one open each. */
const mostFiles = 1_000;

export interface PackingReport {
  /** Segments that got a place in a pack. */
  segments: number;
  packs: number;
}

/**
 * Packs segments as soon as there are many of them, or much in them; the rest stays in files. Nothing is deleted before the pack that holds it is durable, so a run that is
 * killed anywhere leaves a log that reads the same, and the next run clears away what is there twice. Two runs at once do
 * some work twice and nothing wrong.
 */
export async function packSegments(medium: LogMedium, log: ReplicaLog, now: Date): Promise<PackingReport> {
  const { files } = medium;
  const report: PackingReport = { segments: 0, packs: 0 };
  try {
    await clearAway(files, log, now);
    let group: number[] = [];
    let bytes = 0;
    const unpacked: number[] = [];
    for await (const number of log.files.after(coveredBy(await log.packRanges()))) unpacked.push(number);
    const sizeOf = async (number: number) => ({ number, ...(await files.facts(log.files.path(number))) });
    for await (const { number, sizeBytes } of ahead(unpacked, filesAtOnce, sizeOf)) {
      bytes += sizeBytes;
      group.push(number);
      if (bytes < closedAtBytes && group.length < mostFiles) continue;
      await new Packing(medium, log).pack(group, bytes);
      report.segments += group.length;
      report.packs += 1;
      [group, bytes] = [[], 0];
    }
    if (report.packs > 0) await clearAway(files, log, now);
  } catch (error) {
    // Another run was faster.
    if (!hasCode(error, 'ENOENT')) throw error;
  }
  return report;
}

/** Deletes files whose segments are in a pack, packs that are in a larger pack, and what killed runs left. */
async function clearAway(files: LogFiles, log: ReplicaLog, now: Date): Promise<void> {
  const packs = await log.packRanges();
  const covered = coveredBy(packs);
  const shards = await log.files.shards();
  for (const [place, { folder, numbers }] of shards.entries()) {
    const packed = numbers.filter((number) => number <= covered);
    await inParallel(packed, filesAtOnce, (number) => removeIfThere(files, log.files.path(number)));
    if (place < shards.length - 1 && numbers.every((number) => number <= covered))
      await removeFolderIfEmpty(files, folder);
  }
  for (const pack of packs)
    if (packs.some((other) => other !== pack && other.first <= pack.first && pack.last <= other.last))
      await removePack(files, log, pack);
  await removeOrphans(files, log, new Date(now.getTime() - orphanAfterMs));
}

/** Bodies whose run was killed before their index was there. */
async function removeOrphans(files: LogFiles, log: ReplicaLog, olderThan: Date): Promise<void> {
  const names = (await listOrNothing(files, log.packs)).map(({ name }) => name);
  for (const name of names) {
    if (!name.endsWith('.segments') || names.includes(name.replace(/segments$/, 'index'))) continue;
    const path = join(log.packs, name);
    if ((await files.facts(path)).modifiedAtMs < olderThan.getTime()) await removeIfThere(files, path);
  }
}

/** The index goes first: a body without it is not there for readers. */
export async function removePack(files: LogFiles, log: ReplicaLog, pack: PackRange): Promise<void> {
  await removeIfThere(files, log.indexPath(pack));
  await removeIfThere(files, log.bodyPath(pack));
}

export async function removeIfThere(files: LogFiles, path: string): Promise<void> {
  try {
    await files.remove(path);
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
  }
}

export async function removeFolderIfEmpty(files: LogFiles, folder: string): Promise<void> {
  try {
    await files.removeFolder(folder);
  } catch (error) {
    if (!hasCode(error, 'ENOENT') && !hasCode(error, 'ENOTEMPTY')) throw error;
  }
}

/** One new pack. */
class Packing {
  private readonly files: LogFiles;
  private readonly staging: LogStaging;
  private readonly log: ReplicaLog;
  private readonly segments: IndexedSegment[] = [];
  private fromMs = Number.MAX_SAFE_INTEGER;
  private toMs = 0;

  constructor(medium: LogMedium, log: ReplicaLog) {
    this.files = medium.files;
    this.staging = medium.staging;
    this.log = log;
  }

  /** @param numbers of files, ascending; together of so many bytes */
  async pack(numbers: readonly number[], bytes: number): Promise<void> {
    const body = await this.staging.stage(this.bodyOf(await this.packsToJoin(bytes), numbers));
    try {
      const [first, last] = [this.segments[0]!.number, this.segments.at(-1)!.number];
      const pack = { first, last, fromMs: this.fromMs, toMs: this.toMs };
      await this.publish(body, this.log.bodyPath(pack));
      const index = await this.staging.stage(encodeIndex(this.segments));
      try {
        await this.publish(index, this.log.indexPath(pack));
      } finally {
        await this.staging.discard(index.path);
      }
    } finally {
      await this.staging.discard(body.path);
    }
  }

  /** As in a binary counter, a pack joins what is not much smaller than itself: each byte is copied a few times at most. */
  private async packsToJoin(bytes: number): Promise<PackRange[]> {
    const joining: PackRange[] = [];
    let size = bytes;
    for (const pack of (await this.log.packRanges()).reverse()) {
      const { sizeBytes } = await this.files.facts(this.log.bodyPath(pack));
      if (sizeBytes >= closedAtBytes || sizeBytes > 2 * size) break;
      joining.unshift(pack);
      size += sizeBytes;
    }
    return joining;
  }

  private async *bodyOf(packs: readonly PackRange[], numbers: readonly number[]): AsyncIterable<Uint8Array> {
    let reached = 0;
    for (const pack of packs)
      for (const { number, offset, lengthBytes } of (await this.log.index(pack)).segments) {
        if (number <= reached) continue;
        yield this.add(number, await this.files.readRange(this.log.bodyPath(pack), offset, lengthBytes));
        reached = number;
      }
    const read = async (number: number) => ({ number, bytes: await this.files.readWhole(this.log.files.path(number)) });
    const rest = numbers.filter((number) => number > reached);
    for await (const { number, bytes } of ahead(rest, filesAtOnce, read)) yield this.add(number, bytes);
  }

  /** @throws CorruptLog: what is damaged is left where it is. */
  private add(number: number, bytes: Uint8Array): Uint8Array {
    const records: CaptureRecord[] = decodeSegment(bytes, `${this.log.where} segment ${number}`);
    for (const { timeMs } of records) {
      this.fromMs = Math.min(this.fromMs, Math.floor(timeMs));
      this.toMs = Math.max(this.toMs, Math.ceil(timeMs));
    }
    this.segments.push({ number, lengthBytes: bytes.length, ids: records.map(({ inferenceId }) => inferenceId) });
    return bytes;
  }

  /** One range has one content, so a file that a killed run left may be replaced. */
  private async publish(staged: StagedFile, final: string): Promise<void> {
    if ((await this.staging.publish(staged, final)) === 'exists') await this.staging.replace(staged, final);
  }
}
