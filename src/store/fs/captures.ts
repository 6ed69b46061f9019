import { join } from 'node:path';
import { z } from 'zod';
import { Digest as DigestSchema } from '../../contracts/digest.ts';
import type { CaptureRecord } from '../../contracts/endpoint.ts';
import { isName } from '../../contracts/names.ts';
import { canonicalJson, digestOf, parseJson } from '../canonical-json.ts';
import { CorruptLog, InvalidInput } from '../errors.ts';
import type { CaptureLog } from '../types.ts';
import { type FsOps, listOrNothing } from './fs-ops.ts';
import { NumberedFiles } from './numbered-files.ts';
import type { Staging } from './staging.ts';

/** First line of a segment; the rest is one record a line. */
const Header = z.strictObject({
  schema: z.literal('goto3/captures/v1'),
  records: z.number().int().positive(),
  /** SHA-256 of the rest of the file. */
  digest: DigestSchema,
});

/** Per replica, the last segment that was read. */
const Cursor = z.record(z.string().refine(isName), z.number().int().nonnegative());

const defaultLimit = 10_000;

/**
 * Captures as folders `captures/<endpoint>/<replica>/`, one file per append. A replica is one process at a time; a
 * restarted one goes on after the highest number it finds, and a process of the same name that is not quite dead only
 * takes a number, never a record.
 */
export class FsCaptureLog implements CaptureLog {
  readonly #ops: FsOps;
  readonly #staging: Staging;
  readonly #root: string;
  /** Appends of one replica follow each other, so that no number appears before a smaller one. */
  readonly #tails = new Map<string, Promise<unknown>>();
  readonly #newest = new Map<string, number>();

  constructor(ops: FsOps, staging: Staging, root: string) {
    this.#ops = ops;
    this.#staging = staging;
    this.#root = join(root, 'captures');
  }

  async append(endpoint: string, replica: string, records: readonly CaptureRecord[]): Promise<void> {
    checkName('endpoint', endpoint);
    checkName('replica', replica);
    if (records.length === 0) return;
    const segment = encode(records);
    const key = `${endpoint}/${replica}`;
    const before = this.#tails.get(key) ?? Promise.resolve();
    const mine = before.catch(() => {}).then(() => this.#append(key, segment));
    this.#tails.set(key, mine);
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
    let pending = await this.#pending(endpoint, positions);
    while (pending.length > 0 && records.length < limit) {
      const unfinished: typeof pending = [];
      for (const replica of pending) {
        const next = await replica.segments.next();
        if (next.done) continue;
        // One by one: a segment can hold more records than a call may have arguments.
        for (const record of await this.#segment(endpoint, replica.name, next.value)) records.push(record);
        positions.set(replica.name, next.value);
        unfinished.push(replica);
      }
      pending = unfinished;
    }
    return { records, cursor: canonicalJson(Object.fromEntries(positions)) };
  }

  async tail(endpoint: string): Promise<string> {
    checkName('endpoint', endpoint);
    const positions: Record<string, number> = {};
    for (const name of await this.#replicas(endpoint))
      positions[name] = await new NumberedFiles(this.#ops, join(this.#root, endpoint, name)).newest();
    return canonicalJson(positions);
  }

  async #append(key: string, segment: Uint8Array): Promise<void> {
    const files = new NumberedFiles(this.#ops, join(this.#root, key));
    const staged = await this.#staging.stage(segment);
    try {
      let number = (this.#newest.get(key) ?? (await files.newest())) + 1;
      while ((await this.#staging.publish(staged, files.path(number))) === 'exists') number += 1;
      this.#newest.set(key, number);
    } finally {
      await this.#staging.discard(staged.path);
    }
  }

  async #pending(
    endpoint: string,
    positions: Map<string, number>,
  ): Promise<{ name: string; segments: AsyncIterator<number> }[]> {
    const folder = join(this.#root, endpoint);
    const replicas = await this.#replicas(endpoint);
    return replicas.map((name) => ({
      name,
      segments: new NumberedFiles(this.#ops, join(folder, name))
        .after(positions.get(name) ?? 0)
        [Symbol.asyncIterator](),
    }));
  }

  async #replicas(endpoint: string): Promise<string[]> {
    return (await listOrNothing(this.#ops, join(this.#root, endpoint)))
      .filter(({ name, isFolder }) => isFolder && isName(name))
      .map(({ name }) => name)
      .sort();
  }

  async #segment(endpoint: string, replica: string, number: number): Promise<CaptureRecord[]> {
    const where = `captures ${endpoint}/${replica} segment ${number}`;
    const files = new NumberedFiles(this.#ops, join(this.#root, endpoint, replica));
    return decode(await this.#ops.readWhole(files.path(number)), where);
  }
}

/** Records that JSON cannot carry (a NaN score) are refused: read back as null they would count as zero. */
function encode(records: readonly CaptureRecord[]): Uint8Array {
  const body = records.map((record) => `${canonicalJson(record)}\n`).join('');
  const header = { schema: 'goto3/captures/v1', records: records.length, digest: digestOf(body) };
  return Buffer.from(`${canonicalJson(header)}\n${body}`, 'utf8');
}

function decode(bytes: Uint8Array, where: string): CaptureRecord[] {
  const end = bytes.indexOf(0x0a);
  const header = Header.safeParse(end < 0 ? undefined : headerOf(bytes.subarray(0, end), where));
  if (!header.success) throw new CorruptLog(where, 'its first line is no header');
  const body = bytes.subarray(end + 1);
  const found = digestOf(body);
  if (found !== header.data.digest) throw new CorruptLog(where, `expected ${header.data.digest}, found ${found}`);
  // Our own records, unchanged since `encode`: not decoded field by field a second time.
  const lines = Buffer.from(body).toString('utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as CaptureRecord);
}

function headerOf(line: Uint8Array, where: string): unknown {
  try {
    return parseJson(line, where);
  } catch (error) {
    if (error instanceof InvalidInput) throw new CorruptLog(where, error.message);
    throw error;
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
