import { z } from 'zod';
import type { Digest } from '../../contracts/digest.ts';
import type { LoopSpec } from '../../contracts/loop-spec.ts';
import type { FeatureRow } from '../../contracts/model.ts';
import type { Store } from '../../store/types.ts';
import { readLines } from './lines.ts';

/** A row as segments keep it, whatever its columns were called. Trainers read the same lines. */
export const DataRow = z.object({
  id: z.string(),
  /** ISO. */
  time: z.string(),
  label: z.string(),
  features: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
  /** `slice=value` memberships. */
  slices: z.array(z.string()),
});
export type DataRow = z.infer<typeof DataRow>;

const earliest = Date.UTC(1970, 0, 2);
/** Rows from the future are a broken clock somewhere; a day covers time zones. */
const toleranceMs = 86_400_000;
/** A date, or a date and time with its offset: a local time means another moment on every machine. */
const isoTime = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(?:Z|[+-]\d\d:\d\d))?$/;
/** Labels and slices become keys of manifests and cells of tables: no control characters, no halves of a character. */
const printable = (longest: number) => new RegExp(`^[\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}\\p{Zs}]{0,${longest}}$`, 'u');
const labelText = printable(256);
const sliceText = printable(100);

/** A row of the data program by the spec's columns, or what is wrong with it: the field, never its content. */
export function readRow(
  value: unknown,
  { columns, slices, task }: LoopSpec['data'],
  nowMs: number,
): DataRow | { problem: string } {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { problem: 'expected an object on each line' };
  const row = value as Record<string, unknown>;
  const id = row[columns.id];
  if (typeof id !== 'string' || id === '' || id.length > 256)
    return { problem: `${columns.id}: expected text of 1 to 256 characters` };
  const time = row[columns.time];
  const timeMs = typeof time === 'string' && isoTime.test(time) ? Date.parse(time) : Number.NaN;
  if (!(timeMs >= earliest && timeMs <= nowMs + toleranceMs))
    return { problem: `${columns.time}: expected an ISO time with its offset that is not in the future` };
  const label = row[columns.label];
  if (task === 'regression' && !isNumber(label))
    return { problem: `${columns.label}: expected a finite number, data.task is regression` };
  if (!isScalar(label) || label === '' || label === '__proto__' || !labelText.test(String(label)))
    return { problem: `${columns.label}: expected a class of at most 256 printable characters, or a number` };
  const features: FeatureRow = {};
  for (const name of columns.features) {
    const feature = row[name];
    if (feature !== null && !isScalar(feature))
      return { problem: `${name}: expected text, a finite number, true, false or null` };
    features[name] = feature;
  }
  const memberships: string[] = [];
  for (const name of slices) {
    const slice = row[name];
    if (!isScalar(slice) || !sliceText.test(String(slice)))
      return { problem: `${name}: expected a slice value of at most 100 printable characters` };
    memberships.push(`${name}=${slice}`);
  }
  return { id, time: new Date(timeMs).toISOString(), label: String(label), features, slices: memberships };
}

const isScalar = (value: unknown): value is string | number | boolean =>
  typeof value === 'string' || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value));

/** A number, or text that everybody reads as the same one: no `1,5`, `0x10` or `1e400`. */
const isNumber = (value: unknown): boolean =>
  typeof value === 'string'
    ? /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/.test(value) && Number.isFinite(Number(value))
    : typeof value === 'number' && Number.isFinite(value);

/** Rows of a stored segment, one at a time. */
export async function* readRows(store: Pick<Store, 'blobs'>, digest: Digest): AsyncIterable<DataRow> {
  for await (const { text } of readLines(await store.blobs.get(digest))) yield JSON.parse(text) as DataRow;
}

/** One line of a segment. Readers in other languages end lines at these characters too, and JSON need not escape them. */
export const lineOf = (row: DataRow): string =>
  `${JSON.stringify(row).replaceAll(/[\u0085\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)}\n`;
