import { z } from 'zod';
import { Digest as DigestSchema } from '../../../contracts/digest.ts';
import type { CaptureRecord } from '../../../contracts/endpoint.ts';
import { canonicalJson, digestOf, parseJson } from '../../canonical-json.ts';
import { CorruptLog, InvalidInput } from '../../errors.ts';

/** First line of a segment; the rest is one record a line. */
const Header = z.strictObject({
  schema: z.literal('goto3/captures/v1'),
  records: z.number().int().positive(),
  /** SHA-256 of the rest of the file. */
  digest: DigestSchema,
});

/** Records that JSON cannot carry (a NaN score) are refused: read back as null they would count as zero. */
export function encodeSegment(records: readonly CaptureRecord[]): Uint8Array {
  const body = records.map((record) => `${canonicalJson(record)}\n`).join('');
  const header = { schema: 'goto3/captures/v1', records: records.length, digest: digestOf(body) };
  return Buffer.from(`${canonicalJson(header)}\n${body}`, 'utf8');
}

/** @throws CorruptLog */
export function decodeSegment(bytes: Uint8Array, where: string): CaptureRecord[] {
  const end = bytes.indexOf(0x0a);
  const header = Header.safeParse(end < 0 ? undefined : headerOf(bytes.subarray(0, end), where));
  if (!header.success) throw new CorruptLog(where, 'its first line is no header');
  const body = bytes.subarray(end + 1);
  const found = digestOf(body);
  if (found !== header.data.digest) throw new CorruptLog(where, `expected ${header.data.digest}, found ${found}`);
  // Our own records, unchanged since `encodeSegment`: not decoded field by field a second time.
  const lines = Buffer.from(body).toString('utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as CaptureRecord);
}

/** The JSON of a segment's or a pack's first line; `CorruptLog` names `where` when it is none. */
export function headerOf(line: Uint8Array, where: string): unknown {
  try {
    return parseJson(line, where);
  } catch (error) {
    if (error instanceof InvalidInput) throw new CorruptLog(where, error.message);
    throw error;
  }
}
