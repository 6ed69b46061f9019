import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { TrainingFailure } from './failure.ts';

/** One line of the train channel, as the loop writes it. */
const TrainingRow = z.object({
  id: z.string().min(1),
  time: z.iso.datetime({ offset: true }),
  label: z.string().min(1),
  features: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])),
});
export type TrainingRow = z.infer<typeof TrainingRow>;

/**
 * All rows of the folder's `*.jsonl` files, ordered by time and id: the same rows give the same model, however they are
 * cut into files. @throws TrainingFailure `badData` that names file, line and field, or for zero rows.
 */
export async function readRows(folder: string): Promise<TrainingRow[]> {
  const files = (await readdir(folder)).filter((name) => name.endsWith('.jsonl')).sort();
  const rows: TrainingRow[] = [];
  for (const file of files) {
    let number = 0;
    for await (const line of createInterface({ input: createReadStream(join(folder, file)), crlfDelay: Infinity })) {
      number++;
      if (line.trim() !== '') rows.push(parseRow(line, `${file} line ${number}`));
    }
  }
  if (rows.length === 0) throw new TrainingFailure('badData', 'no rows to train on: the train channel is empty');
  return rows.sort((a, b) => Date.parse(a.time) - Date.parse(b.time) || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0));
}

function parseRow(line: string, where: string): TrainingRow {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new TrainingFailure('badData', `${where}: expected JSON`);
  }
  const row = TrainingRow.safeParse(value);
  if (row.success) return row.data;
  throw new TrainingFailure('badData', `${where}: ${z.prettifyError(row.error).replaceAll('\n', ' ')}`);
}

/** Class names in output order: sorted, for two classes the positive one last. @throws TrainingFailure for one class. */
export function classesOf(rows: readonly TrainingRow[], positive: string | undefined): string[] {
  const labels = [...new Set(rows.map((row) => row.label))].sort();
  if (labels.length < 2)
    throw new TrainingFailure(
      'badData',
      `all ${rows.length} rows have label "${labels[0]}": expected two classes or more`,
    );
  if (positive === undefined) return labels;
  if (!labels.includes(positive))
    throw new TrainingFailure(
      'badData',
      `no row has the positive label "${positive}"; labels are ${labels.join(', ')}`,
    );
  return [...labels.filter((label) => label !== positive), positive];
}

/** The text features to learn from. */
export function featuresOf(rows: readonly TrainingRow[], wanted: string | undefined): string[] {
  if (wanted !== undefined) return wanted.split(',').map((name) => name.trim());
  const first = rows[0]?.features ?? {};
  const names = Object.keys(first).filter((name) => typeof first[name] === 'string');
  if (names.length === 0) throw new TrainingFailure('badData', 'no text feature in the first row');
  return names;
}

/** Digest of everything in the rows that training reads. */
export function digestOfRows(rows: readonly TrainingRow[]): string {
  const hash = createHash('sha256');
  for (const row of rows) hash.update(JSON.stringify([row.id, row.time, row.label, row.features]));
  return hash.digest('hex');
}
