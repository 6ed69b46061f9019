import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type DataRow, readRows } from '../activities/data/rows.ts';
import { meaningOf } from '../activities/evaluate/manifest.ts';
import { NewestRows } from '../activities/evaluate/newest-rows.ts';
import type { Digest } from '../contracts/digest.ts';
import type { Dataset, RowOutcome } from '../contracts/manifests.ts';
import { differenceCurve, fewestLimitingRows, limitingRows } from '../stats/metric-curves.ts';
import { sliceNames, tidy } from '../stats/metrics.ts';
import { comparePaired } from '../stats/paired.ts';
import { requireSameRows, type ScoredRows, scoredRows, selectRows } from '../stats/scored-rows.ts';
import { type RowMetricName, weightedMetric } from '../stats/weighted-metrics.ts';
import { InvalidInput } from '../store/errors.ts';
import { getManifest } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import { LearntRows, learntOf } from './learnt-rows.ts';
import { scoreModel } from './score-model.ts';

/** A paired difference A − B on the same rows, in the metric's own direction, with its two-sided 95 % interval. */
export interface Difference {
  metric: RowMetricName;
  /** `overall` or `slice=value`. */
  slice: string;
  rows: number;
  a: number | null;
  b: number | null;
  difference: number | null;
  lower: number | null;
  upper: number | null;
  /** Why there is no interval. */
  note?: string;
}

/** A row to which the two answer differently; features only where they were asked for. */
export interface Disagreement {
  id: string;
  time: string;
  label: string;
  a: string;
  b: string;
  scoreA: number;
  scoreB: number;
  slices: string[];
  features?: DataRow['features'];
}

export interface Comparison {
  a: Digest;
  b: Digest;
  rows: number;
  from: string;
  to: string;
  differences: Difference[];
  /** Two-sided McNemar mid-p for "equally often right"; null for regression. */
  mcnemar: number | null;
  /** How many rows the two answer differently; for regression all whose values differ. */
  disagreeing: number;
  /** The ones that matter most first. */
  disagreements: Disagreement[];
  /** Rows that each was trained on: a comparison on them flatters it. Null: it cannot be known. */
  trainedOn: { a: number | null; b: number | null };
}

export interface CompareOptions {
  store: Store;
  a: Digest;
  b: Digest;
  dataset: Dataset;
  /** Newest held-out rows. */
  rows: number;
  metrics: readonly RowMetricName[];
  /** Disagreements to list. */
  list: number;
  withFeatures: boolean;
  signal: AbortSignal;
  score?: typeof scoreModel;
}

/** Two models on the same held-out rows. @throws InvalidInput when they cannot be scored, or tell different things */
export async function compareModels(options: CompareOptions): Promise<Comparison> {
  const { store, a, b, dataset, metrics } = options;
  const rows = await newestHeldOut(store, dataset, options.rows);
  if (rows.length === 0) throw new InvalidInput('compare: nothing is held out yet');
  const [modelA, modelB] = [await getManifest(store, a, 'Model'), await getManifest(store, b, 'Model')];
  const [meaning, other] = [meaningOf(modelA.signature), meaningOf(modelB.signature)];
  if (meaning.task !== other.task || meaning.positive !== other.positive)
    throw new InvalidInput(
      `compare: one is for ${meaning.task} (${meaning.positive ?? '–'}), the other for ${other.task} (${other.positive ?? '–'})`,
    );
  const [outcomesA, outcomesB] = await scoreBoth(options, [modelA, modelB], rows);
  const [ours, theirs] = [scoredRows(outcomesA, meaning), scoredRows(outcomesB, meaning)];
  requireSameRows(ours, theirs, 'second model');
  const slices = ['overall', ...sliceNames(ours)];
  const learnt = new LearntRows(store, dataset);
  const accuracy = { metric: 'accuracy', direction: 'higher', allowance: { margin: 0 } } as const;
  return {
    ...{ a, b, rows: rows.length, from: rows[0]!.time, to: rows.at(-1)!.time },
    differences: metrics.flatMap((metric) => slices.map((slice) => differenceOn(metric, slice, ours, theirs))),
    mcnemar: meaning.task === 'regression' ? null : comparePaired(accuracy, outcomesA, outcomesB, meaning).mcnemar,
    ...disagreementsOf(ours, theirs, rows, options),
    trainedOn: {
      a: await learnt.count(await learntOf(store, a), rows),
      b: await learnt.count(await learntOf(store, b), rows),
    },
  };
}

async function newestHeldOut(store: Store, { segments }: Dataset, most: number): Promise<DataRow[]> {
  const newest = new NewestRows(most);
  for (const { holdout } of segments) for await (const row of readRows(store, holdout)) newest.add(row);
  return newest.inOrder();
}

async function scoreBoth(
  { store, a, b, signal, score = scoreModel }: CompareOptions,
  models: [Parameters<typeof scoreModel>[1], Parameters<typeof scoreModel>[1]],
  rows: readonly DataRow[],
): Promise<[RowOutcome[], RowOutcome[]]> {
  const scratch = await mkdtemp(join(tmpdir(), 'goto3-compare-'));
  try {
    const outcomes: RowOutcome[][] = [];
    for (const [i, model] of models.entries()) {
      const scored = await score({ store, scratch, signal }, model, rows);
      if ('problem' in scored) throw new InvalidInput(`compare: ${[a, b][i]} cannot be scored: ${scored.problem}`);
      outcomes.push(scored);
    }
    return [outcomes[0]!, outcomes[1]!];
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

function differenceOn(metric: RowMetricName, slice: string, allA: ScoredRows, allB: ScoredRows): Difference {
  const within = (rows: ScoredRows): ScoredRows =>
    slice === 'overall' ? rows : selectRows(rows, ({ slices }) => slices.includes(slice));
  const [a, b] = [within(allA), within(allB)];
  const value = (rows: ScoredRows): number | null => {
    const measured = weightedMetric(metric, rows)(new Uint8Array(rows.rows).fill(1));
    return Number.isFinite(measured) ? tidy(measured) : null;
  };
  const point = { metric, slice, rows: a.rows, a: value(a), b: value(b) };
  const curve = differenceCurve(metric, a, b);
  if (!curve) return { ...point, difference: null, lower: null, upper: null, note: 'not defined on these rows' };
  const difference = tidy(curve.estimate);
  const [limiting, fewest] = [limitingRows(metric, a), fewestLimitingRows(metric, a)];
  if (limiting < fewest)
    return { ...point, difference, lower: null, upper: null, note: `${limiting} rows of one class bound nothing` };
  return {
    ...point,
    difference,
    lower: tidy(Math.min(curve.estimate, curve.lower(0.025))),
    upper: tidy(Math.max(curve.estimate, curve.upper(0.025))),
  };
}

/** First where only one of them is right; then by how far apart their scores are. */
function disagreementsOf(
  a: ScoredRows,
  b: ScoredRows,
  rows: readonly DataRow[],
  { list, withFeatures }: Pick<CompareOptions, 'list' | 'withFeatures'>,
): Pick<Comparison, 'disagreeing' | 'disagreements'> {
  const features = new Map(withFeatures ? rows.map((row) => [row.id, row.features]) : []);
  const apart = a.outcomes.flatMap((ofA, i) => {
    const ofB = b.outcomes[i]!;
    if (ofA.predicted === ofB.predicted) return [];
    const onlyOneIsRight = a.correct[i] === b.correct[i] ? 0 : 1;
    return [{ ofA, ofB, onlyOneIsRight, distance: Math.abs(ofA.score - ofB.score) }];
  });
  apart.sort(
    (x, y) => y.onlyOneIsRight - x.onlyOneIsRight || y.distance - x.distance || (x.ofA.id < y.ofA.id ? -1 : 1),
  );
  return {
    disagreeing: apart.length,
    disagreements: apart.slice(0, list).map(({ ofA, ofB }) => ({
      ...{ id: ofA.id, time: ofA.time, label: ofA.label, a: ofA.predicted, b: ofB.predicted },
      ...{ scoreA: ofA.score, scoreB: ofB.score, slices: ofA.slices },
      ...(features.has(ofA.id) && { features: features.get(ofA.id)! }),
    })),
  };
}
