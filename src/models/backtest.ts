import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { meaningOf } from '../activities/evaluate/manifest.ts';
import { ask } from '../activities/judging/judge.ts';
import type { Digest } from '../contracts/digest.ts';
import type { Dataset, Model, RowOutcome } from '../contracts/manifests.ts';
import type { Store } from '../store/types.ts';
import { type Cell, keepCells, readCells } from './cells.ts';
import { holdoutPeriods, type Period } from './holdout-periods.ts';
import { type ApprovedVersion, approvedVersions } from './kept.ts';
import { LearntRows, learntOf } from './learnt-rows.ts';
import { metricProgram } from './metric-program.ts';
import type { PeriodLength } from './periods.ts';
import { scoreModel } from './score-model.ts';

/**
 * How a version and a period stand to each other. `ahead`: every row is newer than all that it was trained with, so the
 * score is what it would have been in use. `trainedAfter`: it knew that time, though not these rows. `trainedOn`: some
 * of these very rows were in its training data, so the score says little. `unknown`: its training data are gone.
 */
export type Standing = 'ahead' | 'trainedAfter' | 'trainedOn' | 'unknown';

export interface BacktestCell extends Cell {
  standing: Standing;
}

export interface BacktestVersion {
  version: number;
  digest: Digest;
  approvedAt: string;
  /** Newest time in its training data, ISO; null when that is gone. */
  trainedTo: string | null;
  /** By period; null where there is none. */
  cells: (BacktestCell | null)[];
  /** Its files are in the store; else it has only the cells that were scored before they were pruned. */
  isKept: boolean;
  /** Why it could not be scored. */
  problem?: string;
}

/** `rows` of the `heldOut` ones were scored. */
export type BacktestPeriod = Omit<Period, 'rows'> & { rows: number };

export interface Backtest {
  model: string;
  dataset: Digest;
  by: PeriodLength;
  /** Digest of the code that scored and counted. */
  program: Digest;
  periods: BacktestPeriod[];
  versions: BacktestVersion[];
  /** Cells that were scored now, and that were there. */
  computed: number;
  reused: number;
}

export interface BacktestOptions {
  store: Store;
  model: string;
  /** Whose hold-out is scored. */
  dataset: { digest: Digest; manifest: Dataset };
  by: PeriodLength;
  /** Newest rows of each period; the rest of it is not scored. */
  rowsPerPeriod: number;
  /** The newest versions alone. */
  last?: number;
  signal: AbortSignal;
  /** For the record. */
  who: string;
  onProgress?: (versionsDone: number, of: number) => void;
  /** Default: in a process of its own. */
  score?: typeof scoreModel;
}

/** Models of more machines than this have a worker; the CPU is shared with the endpoint. */
const mostScorers = 4;

/**
 * Every kept version on every period of the hold-out. Cells are kept by model, rows and program, so that only new ones
 * are computed; each model's are kept as soon as it is scored, so that a killed backtest goes on where it was.
 * @throws NotFound when held-out rows are gone
 */
export async function backtest(options: BacktestOptions): Promise<Backtest> {
  const { store, model, dataset, by, rowsPerPeriod, last, who, onProgress, score = scoreModel } = options;
  const program = await metricProgram();
  const versions = (await approvedVersions(store, model)).slice(last === undefined ? 0 : -last);
  const periods = await holdoutPeriods(store, dataset.manifest, { by, mostRows: rowsPerPeriod });
  const learntRows = new LearntRows(store, dataset.manifest);
  // A digest that was approved twice is scored once.
  const distinct = [...new Map(versions.map((version) => [version.digest, version])).values()];
  const results = new Map<Digest, Scored>();
  let done = 0;

  const scratch = await mkdtemp(join(tmpdir(), 'goto3-backtest-'));
  try {
    await inParallel(distinct, async (version) => {
      results.set(version.digest, await scoreVersion(version));
      done += 1;
      onProgress?.(done, distinct.length);
    });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }

  const scored = [...results.values()];
  return {
    model,
    dataset: dataset.digest,
    by,
    program,
    periods: periods.map(({ rows, ...period }) => ({ ...period, rows: rows.length })),
    versions: versions.map(({ version, digest, approvedAt, isKept }) => {
      const { trainedTo, cells, problem } = results.get(digest)!;
      return { version, digest, approvedAt, trainedTo, isKept, cells, ...(problem !== undefined && { problem }) };
    }),
    computed: scored.reduce((sum, { computed }) => sum + computed, 0),
    reused: scored.reduce((sum, { reused }) => sum + reused, 0),
  };

  async function scoreVersion({ digest, manifest, isKept }: ApprovedVersion): Promise<Scored> {
    const known = await readCells(store, { model: digest, program });
    const missing = periods.filter(({ slice }) => !known.has(slice));
    const learnt = await learntOf(store, digest);
    const added = new Map<Digest, Cell>();
    let problem: string | undefined;
    if (missing.length > 0 && manifest && isKept) {
      const rows = missing.flatMap((period) => period.rows);
      const outcomes = await score({ store, scratch, signal: options.signal }, manifest, rows);
      if ('problem' in outcomes) ({ problem } = outcomes);
      else {
        let from = 0;
        for (const period of missing) {
          const to = from + period.rows.length;
          const trainedOn = await learntRows.count(learnt, period.rows);
          added.set(period.slice, { ...(await measure(manifest, outcomes.slice(from, to))), trainedOn });
          from = to;
        }
        await keepCells(store, { model: digest, program }, added, who);
      }
    }
    const cells = periods.map((period) => {
      const cell = added.get(period.slice) ?? known.get(period.slice);
      return cell ? { ...cell, standing: standingOf(cell, period, learnt.to) } : null;
    });
    const computed = added.size;
    const reused = cells.filter((cell) => cell !== null).length - computed;
    return { trainedTo: learnt.to || null, cells, computed, reused, ...(problem !== undefined && { problem }) };
  }
}

interface Scored extends Pick<BacktestVersion, 'trainedTo' | 'cells' | 'problem'> {
  computed: number;
  reused: number;
}

/** Slices are the gate's; here a period is the slice. */
async function measure({ signature }: Model, outcomes: readonly RowOutcome[]): Promise<Pick<Cell, 'rows' | 'metrics'>> {
  const bare = outcomes.map((outcome) => ({ ...outcome, slices: [] }));
  const { metrics } = await ask('measure', { outcomes: bare, meaning: meaningOf(signature), own: {} });
  return { rows: outcomes.length, metrics };
}

function standingOf({ trainedOn }: Cell, { from }: Period, trainedTo: string): Standing {
  if (trainedOn !== null && trainedOn > 0) return 'trainedOn';
  if (trainedOn === null || trainedTo === '') return 'unknown';
  return from > trainedTo ? 'ahead' : 'trainedAfter';
}

/** The first error ends it; what runs beside it is waited for. */
async function inParallel<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = [...items];
  const lane = async (): Promise<void> => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      try {
        await work(next);
      } catch (error) {
        queue.length = 0;
        throw error;
      }
    }
  };
  const lanes = Array.from({ length: Math.min(mostScorers, availableParallelism(), items.length) }, lane);
  for (const end of await Promise.allSettled(lanes)) if (end.status === 'rejected') throw end.reason;
}
