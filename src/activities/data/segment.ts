import { once } from 'node:events';
import { createReadStream, createWriteStream, type WriteStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import type { Digest } from '../../contracts/digest.ts';
import type { DatasetSegment } from '../../contracts/manifests.ts';
import { isHoldout, normaliseForHash } from '../../stats/holdout.ts';
import { digestOf } from '../../store/canonical-json.ts';
import type { Store } from '../../store/types.ts';
import type { DataRow } from './rows.ts';

/**
 * One run of the data program as three blobs: all rows, those to train on, those held out for ever. Rows stream through
 * temporary files, so a segment may be larger than memory.
 */
export class SegmentWriter {
  private readonly store: Store;
  private readonly holdoutShare: number;
  private readonly folder: string;
  private readonly streams: Record<'rows' | 'train' | 'holdout', WriteStream>;
  private readonly counts = { rows: 0, train: 0, holdout: 0 };
  private readonly classCounts: Record<string, number> = {};
  private readonly hashes = new Set<string>();
  private repeats = 0;
  private from = '';
  private to = '';

  private constructor(store: Store, holdoutShare: number, folder: string) {
    this.store = store;
    this.holdoutShare = holdoutShare;
    this.folder = folder;
    this.streams = { rows: this.create('rows'), train: this.create('train'), holdout: this.create('holdout') };
  }

  static async open(store: Store, holdoutShare: number): Promise<SegmentWriter> {
    return new SegmentWriter(store, holdoutShare, await mkdtemp(join(tmpdir(), 'goto3-segment-')));
  }

  async add(row: DataRow): Promise<void> {
    const line = `${JSON.stringify(row)}\n`;
    const contentHash = digestOf(normaliseForHash(row.features));
    const side = isHoldout(contentHash, this.holdoutShare) ? 'holdout' : 'train';
    for (const name of ['rows', side] as const) {
      this.counts[name] += 1;
      if (!this.streams[name].write(line)) await once(this.streams[name], 'drain');
    }
    this.classCounts[row.label] = (this.classCounts[row.label] ?? 0) + 1;
    if (this.hashes.has(contentHash)) this.repeats += 1;
    else this.hashes.add(contentHash);
    if (this.from === '' || row.time < this.from) this.from = row.time;
    if (row.time > this.to) this.to = row.time;
  }

  /** Null without rows. */
  async finish(schemaErrors: Record<string, number>, redelivered: number): Promise<DatasetSegment | null> {
    try {
      for (const stream of Object.values(this.streams)) stream.end();
      await Promise.all(Object.values(this.streams).map((stream) => finished(stream)));
      if (this.counts.rows === 0 && Object.keys(schemaErrors).length === 0) return null;
      return {
        rows: await this.put('rows'),
        rowCount: this.counts.rows,
        train: await this.put('train'),
        trainRows: this.counts.train,
        holdout: await this.put('holdout'),
        holdoutRows: this.counts.holdout,
        classCounts: this.classCounts,
        repeats: this.repeats,
        redelivered,
        schemaErrors,
        from: this.from,
        to: this.to,
      };
    } finally {
      await this.discard();
    }
  }

  async discard(): Promise<void> {
    for (const stream of Object.values(this.streams)) stream.destroy();
    await rm(this.folder, { recursive: true, force: true });
  }

  private create(name: string): WriteStream {
    return createWriteStream(join(this.folder, name));
  }

  private async put(name: string): Promise<Digest> {
    return await this.store.blobs.put(createReadStream(join(this.folder, name)));
  }
}
