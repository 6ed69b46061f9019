import { z } from 'zod';
import { Digest as DigestSchema } from '../../../contracts/digest.ts';
import { canonicalJson, digestOf } from '../../canonical-json.ts';
import { CorruptLog } from '../../errors.ts';
import { headerOf } from './segment.ts';

/** First line of an index; then the tables, as unsigned 32-bit numbers, low byte first. */
const Header = z.strictObject({
  schema: z.literal('goto3/capture-index/v1'),
  segments: z.number().int().positive(),
  records: z.number().int().positive(),
  /** SHA-256 of the tables. */
  digest: DigestSchema,
});

/** A segment's place in the body of its pack. */
export interface PackedSegment {
  number: number;
  offset: number;
  lengthBytes: number;
}

/** What goes into an index: the segments in order, each with the ids of its records. */
export interface IndexedSegment {
  number: number;
  lengthBytes: number;
  ids: readonly string[];
}

const rowBytes = 8;
const placesPerHash = 2 ** 21;

/**
 * Two tables: of each segment its number and its length; of each record the hash of its id and which segment it is in,
 * sorted by hash. Hashes of 32 bits are enough to find the few segments that are worth reading; the records themselves
 * decide.
 */
export function encodeIndex(segments: readonly IndexedSegment[]): Uint8Array {
  // Hash and place in one number each, so that the engine sorts them natively: 32 and 21 bits fit into 53.
  const keys = Float64Array.from(
    segments.flatMap(({ ids }, place) => ids.map((id) => idHash(id) * placesPerHash + place)),
  ).sort();
  const tables = Buffer.alloc((segments.length + keys.length) * rowBytes);
  let at = 0;
  for (const { number, lengthBytes } of segments) {
    tables.writeUInt32LE(number, at);
    tables.writeUInt32LE(lengthBytes, at + 4);
    at += rowBytes;
  }
  for (const key of keys) {
    tables.writeUInt32LE(Math.floor(key / placesPerHash), at);
    tables.writeUInt32LE(key % placesPerHash, at + 4);
    at += rowBytes;
  }
  const header = {
    schema: 'goto3/capture-index/v1',
    segments: segments.length,
    records: keys.length,
    digest: digestOf(tables),
  };
  return Buffer.concat([Buffer.from(`${canonicalJson(header)}\n`), tables]);
}

export class PackIndex {
  readonly segments: readonly PackedSegment[];
  private readonly records: Buffer;

  /** @throws CorruptLog */
  constructor(bytes: Uint8Array, where: string) {
    const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const end = file.indexOf(0x0a);
    const header = Header.safeParse(end < 0 ? undefined : headerOf(file.subarray(0, end), where));
    if (!header.success) throw new CorruptLog(where, 'its first line is no header');
    const tables = file.subarray(end + 1);
    const { segments, records, digest } = header.data;
    const found = digestOf(tables);
    if (found !== digest) throw new CorruptLog(where, `expected ${digest}, found ${found}`);
    if (tables.length !== (segments + records) * rowBytes)
      throw new CorruptLog(where, 'its tables have another length');
    this.records = tables.subarray(segments * rowBytes);
    let offset = 0;
    this.segments = Array.from({ length: segments }, (_, place) => {
      const number = tables.readUInt32LE(place * rowBytes);
      const lengthBytes = tables.readUInt32LE(place * rowBytes + 4);
      offset += lengthBytes;
      return { number, offset: offset - lengthBytes, lengthBytes };
    });
  }

  /** Segments that may hold a record of one of these ids, in order. @param hashes of `idHash` */
  segmentsOf(hashes: Iterable<number>): PackedSegment[] {
    const places = new Set<number>();
    for (const hash of hashes)
      for (let row = this.firstRowOf(hash); row < this.rows && this.hashAt(row) === hash; row++)
        places.add(this.records.readUInt32LE(row * rowBytes + 4));
    return [...places].sort((a, b) => a - b).map((place) => this.segments[place]!);
  }

  private get rows(): number {
    return this.records.length / rowBytes;
  }
  private hashAt(row: number): number {
    return this.records.readUInt32LE(row * rowBytes);
  }
  private firstRowOf(hash: number): number {
    let [low, high] = [0, this.rows];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.hashAt(middle) < hash) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** FNV-1a over UTF-16 code units, then MurmurHash3's finalizer, so that ids that count up are spread. */
export function idHash(id: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < id.length; i++) hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
