import { join } from 'node:path';
import { z } from 'zod';
import type { CaptureRecord } from '../../../contracts/endpoint.ts';
import { isName } from '../../../contracts/names.ts';
import { canonicalJson, parseJson } from '../../canonical-json.ts';
import { InvalidInput } from '../../errors.ts';
import type { CaptureLog } from '../../types.ts';
import { type LogMedium, type LogStaging, listOrNothing } from '../files.ts';
import { coveredBy, Moved, ReplicaLog } from './replica-log.ts';
import { encodeSegment } from './segment.ts';

/** Per replica, the last segment that was read. */
const Cursor = z.record(z.string().refine(isName), z.number().int().nonnegative());

const defaultLimit = 10_000;

/**
 * Captures by endpoint and replica. A replica is one process at a time; a restarted one goes on after the highest number
 * it finds, and a process of the same name that is not quite dead only takes a number, never a record.
 */
export class CaptureLogs implements CaptureLog {
  readonly #medium: LogMedium;
  readonly #staging: LogStaging;
  readonly #root: string;
  /** Appends of one replica follow each other, so that no number appears before a smaller one. */
  readonly #tails = new Map<string, Promise<unknown>>();
  readonly #newest = new Map<string, number>();

  constructor(medium: LogMedium, root: string) {
    this.#medium = medium;
    this.#staging = medium.staging;
    this.#root = join(root, 'captures');
  }

  async append(endpoint: string, replica: string, records: readonly CaptureRecord[]): Promise<void> {
    const log = this.logOf(endpoint, replica);
    if (records.length === 0) return;
    const segment = encodeSegment(records);
    const before = this.#tails.get(log.folder) ?? Promise.resolve();
    const mine = before.catch(() => {}).then(() => this.#append(log, segment));
    this.#tails.set(log.folder, mine);
    await mine;
  }

  /**
   * Goes round the replicas, a segment of each in turn, until `limit` records are there or nothing is left; so a busy
   * replica cannot hide a quiet one. Segments are read whole. Records of one replica come in the order it wrote them.
   */
  async read(
    endpoint: string,
    cursor?: string,
    limit: number = defaultLimit,
  ): Promise<{ records: CaptureRecord[]; cursor: string }> {
    checkName('endpoint', endpoint);
    const positions = decodeCursor(cursor);
    const records: CaptureRecord[] = [];
    let pending = (await this.replicas(endpoint)).map(
      (name) => new Reading(this.logOf(endpoint, name), name, positions.get(name) ?? 0),
    );
    while (pending.length > 0 && records.length < limit) {
      const unfinished: typeof pending = [];
      for (const reading of pending) {
        const found = await reading.next();
        if (!found) continue;
        // One by one: a segment can hold more records than a call may have arguments.
        for (const record of found) records.push(record);
        positions.set(reading.name, reading.position);
        unfinished.push(reading);
      }
      pending = unfinished;
    }
    return { records, cursor: canonicalJson(Object.fromEntries(positions)) };
  }

  async *find(endpoint: string, ids: ReadonlySet<string>, sinceMs = 0): AsyncIterable<CaptureRecord> {
    checkName('endpoint', endpoint);
    if (ids.size === 0) return;
    for (const name of await this.replicas(endpoint)) yield* this.logOf(endpoint, name).find(ids, sinceMs);
  }

  async tail(endpoint: string): Promise<string> {
    checkName('endpoint', endpoint);
    const positions: Record<string, number> = {};
    for (const name of await this.replicas(endpoint)) positions[name] = await this.logOf(endpoint, name).newest();
    return canonicalJson(positions);
  }

  async endpoints(): Promise<string[]> {
    return this.#namesIn(this.#root);
  }

  async replicas(endpoint: string): Promise<string[]> {
    return this.#namesIn(join(this.#root, endpoint));
  }

  logOf(endpoint: string, replica: string): ReplicaLog {
    checkName('endpoint', endpoint);
    checkName('replica', replica);
    return new ReplicaLog(this.#medium, this.#root, endpoint, replica);
  }

  async #append(log: ReplicaLog, segment: Uint8Array): Promise<void> {
    const { files, folder } = log;
    const staged = await this.#staging.stage(segment);
    try {
      let number = (this.#newest.get(folder) ?? (await log.newest())) + 1;
      for (;;) {
        while ((await this.#staging.publish(staged, files.path(number))) === 'exists') number += 1;
        // A process that has slept may have filled the place of a segment that was packed meanwhile: nobody would read it.
        const covered = coveredBy(await log.packRanges());
        if (number > covered) break;
        await this.#staging.discard(files.path(number));
        number = Math.max(covered, await files.newest()) + 1;
      }
      this.#newest.set(folder, number);
    } finally {
      await this.#staging.discard(staged.path);
    }
  }

  async #namesIn(folder: string): Promise<string[]> {
    return (await listOrNothing(this.#medium.files, folder))
      .filter(({ name, isFolder }) => isFolder && isName(name))
      .map(({ name }) => name)
      .sort();
  }
}

/** One replica's segments, one after the other, wherever they are by then. */
class Reading {
  readonly name: string;
  /** Number of the last segment that was read. */
  position: number;
  private readonly log: ReplicaLog;
  private segments: ReturnType<ReturnType<ReplicaLog['after']>[typeof Symbol.asyncIterator]>;
  private readonly moved = new Moved();

  constructor(log: ReplicaLog, name: string, position: number) {
    this.log = log;
    this.name = name;
    this.position = position;
    this.segments = log.after(position)[Symbol.asyncIterator]();
  }

  /** Undefined at the end. */
  async next(): Promise<CaptureRecord[] | undefined> {
    for (;;) {
      try {
        const found = await this.segments.next();
        if (found.done) return undefined;
        const records = await found.value.records();
        this.position = found.value.number;
        return records;
      } catch (error) {
        this.moved.whileAt(this.position, error);
        this.segments = this.log.after(this.position)[Symbol.asyncIterator]();
      }
    }
  }
}

function decodeCursor(cursor: string | undefined): Map<string, number> {
  if (cursor === undefined) return new Map();
  const decoded = Cursor.safeParse(parseJson(Buffer.from(cursor), 'capture cursor'));
  if (!decoded.success) throw new InvalidInput('capture cursor: expected a cursor that an earlier read returned');
  return new Map(Object.entries(decoded.data));
}

function checkName(field: string, name: string): void {
  if (!isName(name)) throw new InvalidInput(`${field}: expected a lower-case name, got ${JSON.stringify(name)}`);
}
