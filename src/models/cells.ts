import { z } from 'zod';
import { type Digest, Digest as DigestSchema } from '../contracts/digest.ts';
import { MetricValue } from '../contracts/manifests.ts';
import { refNames } from '../contracts/names.ts';
import { digestOf } from '../store/canonical-json.ts';
import { RefConflict } from '../store/errors.ts';
import { getJson, putJson } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';

/** What one model scored on one slice of rows: a function of the two and of the metric program, so it is kept for ever. */
export const Cell = z.strictObject({
  rows: z.number().int().positive(),
  /** Rows that the model was trained on; null: it cannot be known. */
  trainedOn: z.number().int().nonnegative().nullable(),
  metrics: z.record(z.string(), MetricValue),
});
export type Cell = z.infer<typeof Cell>;

/** All cells of a model by slice: one document and one ref a model, not one a cell. */
const Cells = z.strictObject({
  schema: z.literal('goto3/backtest/v1'),
  model: DigestSchema,
  program: DigestSchema,
  cells: z.record(DigestSchema, Cell),
});

export interface CellsOf {
  model: Digest;
  /** Of `metricProgram`. */
  program: Digest;
}

/** Two backtests at once lose nothing: who was slower adds to what the other wrote. More conflicts than this are not two. */
const mostConflicts = 20;

export async function readCells(store: Store, of: CellsOf): Promise<ReadonlyMap<Digest, Cell>> {
  const ref = await store.refs.read(nameOf(of));
  return ref ? mapOf((await getJson(store, Cells, ref.digest)).cells) : new Map();
}

/** Adds cells to those that are kept. Killed in between, all or none of them are there. @throws RefConflict */
export async function keepCells(
  store: Store,
  of: CellsOf,
  added: ReadonlyMap<Digest, Cell>,
  by: string,
): Promise<void> {
  if (added.size === 0) return;
  const name = nameOf(of);
  for (let conflicts = 0; ; conflicts += 1) {
    const before = await store.refs.read(name);
    const known = before ? (await getJson(store, Cells, before.digest)).cells : {};
    const cells = { ...known, ...Object.fromEntries(added) };
    const next = await putJson(store, Cells, { schema: 'goto3/backtest/v1', ...of, cells });
    if (before?.digest === next) return;
    const why = { operation: `backtest ${next}`, by, reason: `${added.size} cells of ${of.model}` };
    try {
      await store.refs.compareAndSet(name, before, next, why);
      return;
    } catch (error) {
      if (!(error instanceof RefConflict) || conflicts === mostConflicts) throw error;
    }
  }
}

const nameOf = ({ model, program }: CellsOf): string =>
  refNames.backtest(digestOf(`${model} ${program}`).slice('sha256:'.length, 'sha256:'.length + 40));

const mapOf = (cells: Record<string, Cell>): Map<Digest, Cell> =>
  new Map(Object.entries(cells).map(([slice, cell]) => [slice as Digest, cell]));
