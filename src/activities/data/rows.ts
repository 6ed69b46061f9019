import { createInterface } from 'node:readline';
import { z } from 'zod';
import type { Digest } from '../../contracts/digest.ts';
import type { LoopSpec } from '../../contracts/loop-spec.ts';
import type { FeatureRow } from '../../contracts/model.ts';
import type { Store } from '../../store/types.ts';

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

/** A row of the data program by the spec's columns, or what is wrong with it. */
export function readRow(
  value: unknown,
  { columns, slices }: LoopSpec['data'],
  nowMs: number,
): DataRow | { problem: string } {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    return { problem: 'expected an object on each line' };
  const row = value as Record<string, unknown>;
  const id = row[columns.id];
  if (typeof id !== 'string' || id === '' || id.length > 256)
    return { problem: `${columns.id}: expected 1 to 256 characters` };
  const timeMs = typeof row[columns.time] === 'string' ? Date.parse(row[columns.time] as string) : Number.NaN;
  if (!(timeMs >= earliest && timeMs <= nowMs + toleranceMs))
    return { problem: `${columns.time}: expected an ISO time that is not in the future` };
  const label = row[columns.label];
  if (!isScalar(label) || label === '') return { problem: `${columns.label}: expected a class or a number` };
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
    if (!isScalar(slice)) return { problem: `${name}: expected a slice value` };
    memberships.push(`${name}=${String(slice).slice(0, 100)}`);
  }
  return { id, time: new Date(timeMs).toISOString(), label: String(label), features, slices: memberships };
}

const isScalar = (value: unknown): value is string | number | boolean =>
  typeof value === 'string' || typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value));

/** Rows of a stored segment, one at a time. */
export async function* readRows(store: Store, digest: Digest): AsyncIterable<DataRow> {
  for await (const line of createInterface({
    input: await store.blobs.get(digest),
    crlfDelay: Number.POSITIVE_INFINITY,
  }))
    if (line !== '') yield JSON.parse(line) as DataRow;
}
