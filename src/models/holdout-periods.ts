import { type DataRow, lineOf, readRows } from '../activities/data/rows.ts';
import { NewestRows } from '../activities/evaluate/newest-rows.ts';
import type { Digest } from '../contracts/digest.ts';
import type { Dataset } from '../contracts/manifests.ts';
import { digestOf } from '../store/canonical-json.ts';
import type { Store } from '../store/types.ts';
import { type PeriodLength, periodOf } from './periods.ts';

/** Held-out rows of one week or month, by the rows' own time. */
export interface Period {
  name: string;
  /** Oldest and newest of its rows, ISO. */
  from: string;
  to: string;
  /** Held-out rows of that time; `rows` may be fewer. */
  heldOut: number;
  /** Newest last. */
  rows: DataRow[];
  /** Digest of the rows as lines: what a cell is named by. The same rows in another dataset are the same slice. */
  slice: Digest;
}

/**
 * The hold-out by periods, oldest first, of each its newest rows: they lie in memory, all periods at once.
 * @param mostRows per period
 */
export async function holdoutPeriods(
  store: Pick<Store, 'blobs'>,
  { segments }: Pick<Dataset, 'segments'>,
  { by, mostRows }: { by: PeriodLength; mostRows: number },
): Promise<Period[]> {
  const periods = new Map<string, { heldOut: number; newest: NewestRows }>();
  for (const { holdout } of segments)
    for await (const row of readRows(store, holdout)) {
      const name = periodOf(row.time, by);
      const period = periods.get(name) ?? { heldOut: 0, newest: new NewestRows(mostRows) };
      periods.set(name, period);
      period.heldOut += 1;
      period.newest.add(row);
    }
  return [...periods]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, { heldOut, newest }]) => {
      const rows = newest.inOrder();
      const slice = digestOf(rows.map(lineOf).join(''));
      return { name, from: rows[0]!.time, to: rows.at(-1)!.time, heldOut, rows, slice };
    });
}
