import { createReadStream } from 'node:fs';
import { type FileHandle, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { Dataset } from '../../contracts/manifests.ts';
import type { Store } from '../../store/types.ts';
import { readLines } from './lines.ts';
import { type DataRow, lineOf, readRows } from './rows.ts';

/** Newest `time` that a loop's data has shown, ISO; `''` before the first row. */
export const newestTimeOf = (dataset: Dataset | null | undefined): string =>
  (dataset?.segments ?? []).reduce((newest, { to }) => later(newest, to), dataset?.newestTime ?? '');

export const later = (a: string, b: string): string => (a > b ? a : b);

/** Rows of the dataset whose labels were not settled when they were read. */
export async function* waitingRows(store: Pick<Store, 'blobs'>, dataset: Dataset | null): AsyncIterable<DataRow> {
  if (dataset?.waiting) yield* readRows(store, dataset.waiting.rows);
}

/**
 * Whether a row's label may still change: it is younger than the delay, by the data's own clock. The first labels that
 * come are those that come early (a fraud is reported, an honest payment is not), so they would tell a lie as a sample.
 */
export const isSettled = ({ time }: Pick<DataRow, 'time'>, newestTime: string, delayMs: number): boolean =>
  delayMs === 0 || Date.parse(time) <= Date.parse(newestTime) - delayMs;

/** Labels of rows that are not in the dataset yet, by id; the last word about a row counts. */
export class FreshLabels {
  private readonly rows = new Map<string, Pick<DataRow, 'label' | 'time'>>();
  private newestTime: string;
  private readonly delayMs: number;

  constructor(newestTime: string, delayMs: number) {
    this.newestTime = newestTime;
    this.delayMs = delayMs;
  }

  add({ id, label, time }: DataRow): void {
    this.rows.set(id, { label, time });
    this.newestTime = later(this.newestTime, time);
  }

  settled(): Map<string, string> {
    const labels = new Map<string, string>();
    for (const [id, row] of this.rows) if (isSettled(row, this.newestTime, this.delayMs)) labels.set(id, row.label);
    return labels;
  }
}

/** Rows on disk until all are read, since only then the data's own now is known. Rows may be more than memory holds. */
export class GatheredRows {
  newestTime: string;
  private readonly delayMs: number;
  private readonly folder: string;
  private readonly file: FileHandle;
  private pending: string[] = [];

  private constructor(folder: string, file: FileHandle, newestTime: string, delayMs: number) {
    this.folder = folder;
    this.file = file;
    this.newestTime = newestTime;
    this.delayMs = delayMs;
  }

  static async create(newestTime: string, delayMs: number): Promise<GatheredRows> {
    const folder = await mkdtemp(join(tmpdir(), 'goto3-rows-'));
    return new GatheredRows(folder, await open(join(folder, 'rows'), 'wx', 0o600), newestTime, delayMs);
  }

  async add(row: DataRow): Promise<void> {
    this.newestTime = later(this.newestTime, row.time);
    this.pending.push(lineOf(row));
    if (this.pending.length >= 1_000) await this.flush();
  }

  async *settled(): AsyncIterable<DataRow> {
    for await (const row of this.rows()) if (isSettled(row, this.newestTime, this.delayMs)) yield row;
  }

  /** The others, as a blob for the next snapshot. */
  async putWaiting(store: Pick<Store, 'blobs'>): Promise<Dataset['waiting']> {
    if (this.delayMs === 0) return undefined;
    let rowCount = 0;
    const lines = async function* (this: GatheredRows): AsyncIterable<Buffer> {
      for await (const row of this.rows()) {
        if (isSettled(row, this.newestTime, this.delayMs)) continue;
        rowCount += 1;
        yield Buffer.from(lineOf(row));
      }
    };
    const rows = await store.blobs.put(Readable.from(lines.call(this)));
    return rowCount > 0 ? { rows, rowCount } : undefined;
  }

  async close(): Promise<void> {
    await this.file.close();
    await rm(this.folder, { recursive: true, force: true });
  }

  private async *rows(): AsyncIterable<DataRow> {
    await this.flush();
    for await (const { text } of readLines(createReadStream(join(this.folder, 'rows'))))
      yield JSON.parse(text) as DataRow;
  }

  private async flush(): Promise<void> {
    const text = this.pending.join('');
    this.pending = [];
    await this.file.appendFile(text);
  }
}
