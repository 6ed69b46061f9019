import { createReadStream } from 'node:fs';
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Digest } from '../../contracts/digest.ts';
import type { LoopSpec } from '../../contracts/loop-spec.ts';
import type { DatasetSegment } from '../../contracts/manifests.ts';
import { isHoldout, normaliseForHash } from '../../stats/holdout.ts';
import { digestOf } from '../../store/canonical-json.ts';
import type { Store } from '../../store/types.ts';
import { type DataRow, lineOf } from './rows.ts';

/** What becomes known only when all rows have been read. */
export type SegmentFacts = Pick<DatasetSegment, 'schemaErrors' | 'redelivered'>;

/** How rows are parted, and what their labels are. */
export interface Parting {
  holdoutShare: number;
  task: LoopSpec['data']['task'];
}

export const partingOf = ({ data: { holdout, task } }: Pick<LoopSpec, 'data'>): Parting => ({
  holdoutShare: holdout.share,
  task,
});

const parts = ['rows', 'train', 'holdout'] as const;
type Part = (typeof parts)[number];

/**
 * One run of the data program as three blobs: all rows, those to train on, those held out for ever. Rows stream through
 * temporary files, so a segment may be larger than memory.
 *
 * @param fill gives the rows one by one
 * @returns null for nothing at all: no rows, and none that were wrong
 */
export async function writeSegment(
  store: Pick<Store, 'blobs'>,
  { holdoutShare, task }: Parting,
  fill: (add: (row: DataRow) => Promise<void>) => Promise<SegmentFacts>,
): Promise<DatasetSegment | null> {
  const folder = await mkdtemp(join(tmpdir(), 'goto3-segment-'));
  const files = {} as Record<Part, LineFile>;
  try {
    for (const part of parts) files[part] = await LineFile.create(join(folder, part));
    const counts = new SegmentCounts(task);
    const facts = await fill(async (row) => {
      const contentHash = digestOf(normaliseForHash(row.features));
      counts.add(row, contentHash);
      const line = lineOf(row);
      await files.rows.add(line);
      await files[isHoldout(contentHash, holdoutShare) ? 'holdout' : 'train'].add(line);
    });
    if (files.rows.lines === 0 && Object.keys(facts.schemaErrors).length === 0) return null;
    return {
      rows: await files.rows.put(store),
      rowCount: files.rows.lines,
      train: await files.train.put(store),
      trainRows: files.train.lines,
      holdout: await files.holdout.put(store),
      holdoutRows: files.holdout.lines,
      ...counts.summary(),
      ...facts,
    };
  } finally {
    for (const file of Object.values(files)) await file.close();
    await rm(folder, { recursive: true, force: true });
  }
}

class SegmentCounts {
  private readonly task: Parting['task'];
  private readonly range = { lowest: Number.POSITIVE_INFINITY, highest: Number.NEGATIVE_INFINITY };
  private readonly classes = new Map<string, number>();
  private readonly hashes = new Set<string>();
  private repeats = 0;
  private from = '';
  private to = '';

  constructor(task: Parting['task']) {
    this.task = task;
  }

  add({ label, time }: DataRow, contentHash: string): void {
    if (this.task === 'classification') this.classes.set(label, (this.classes.get(label) ?? 0) + 1);
    else {
      this.range.lowest = Math.min(this.range.lowest, Number(label));
      this.range.highest = Math.max(this.range.highest, Number(label));
    }
    if (this.hashes.has(contentHash)) this.repeats += 1;
    else this.hashes.add(contentHash);
    if (this.from === '' || time < this.from) this.from = time;
    if (time > this.to) this.to = time;
  }

  summary(): Pick<DatasetSegment, 'classCounts' | 'labelRange' | 'repeats' | 'from' | 'to'> {
    const { repeats, from, to, range } = this;
    const classCounts = Object.fromEntries(this.classes);
    return { classCounts, ...(range.lowest <= range.highest && { labelRange: range }), repeats, from, to };
  }
}

const bufferCharacters = 2 ** 18;

class LineFile {
  lines = 0;
  private readonly path: string;
  private readonly handle: FileHandle;
  private pending: string[] = [];
  private pendingCharacters = 0;

  private constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.handle = handle;
  }

  static async create(path: string): Promise<LineFile> {
    return new LineFile(path, await open(path, 'wx', 0o600));
  }

  async add(line: string): Promise<void> {
    this.lines += 1;
    this.pending.push(line);
    this.pendingCharacters += line.length;
    if (this.pendingCharacters >= bufferCharacters) await this.flush();
  }

  async put(store: Pick<Store, 'blobs'>): Promise<Digest> {
    await this.flush();
    return await store.blobs.put(createReadStream(this.path));
  }

  async close(): Promise<void> {
    await this.handle.close();
  }

  private async flush(): Promise<void> {
    const text = this.pending.join('');
    this.pending = [];
    this.pendingCharacters = 0;
    await this.handle.appendFile(text);
  }
}
