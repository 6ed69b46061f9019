import { Readable } from 'node:stream';
import { log } from '@temporalio/activity';
import type { EvaluateActivities } from '../contracts/activities.ts';
import type { Digest } from '../contracts/digest.ts';
import type { Evaluation, RowOutcome } from '../contracts/manifests.ts';
import type { ModelSignature, Prediction } from '../contracts/model.ts';
import { ServingError, servingErrors } from '../serving/errors.ts';
import { createScorer, type ScorerOptions } from '../serving/scoring/scorer.ts';
import { computeMetrics, sliceMetrics } from '../stats/metrics.ts';
import type { RowMeaning } from '../stats/scored-rows.ts';
import { getManifest } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import { type DataRow, readRows } from './data/rows.ts';
import type { ModelFolders } from './model-folders.ts';
import { keep, pinned } from './pins.ts';
import { pulse } from './pulse.ts';

export interface EvaluateDeps {
  store: Store;
  models: ModelFolders;
}

/** Enough for a p99 that rests on a few samples; the rows are real, one at a time. */
const latencySamples = { warmup: 20, samples: 300 };
const latencyRows = 200;

export function createEvaluateActivities({ store, models }: EvaluateDeps): EvaluateActivities {
  return {
    async selectHoldout({ plan, dataset: digest }) {
      return await pulse(async () => {
        const { segments } = await getManifest(store, digest, 'Dataset');
        const newest = new NewestRows(plan.holdoutNewest);
        for (const segment of segments) for await (const row of readRows(store, segment.holdout)) newest.add(row);
        const rows = newest.inOrder();
        return { rows: await store.blobs.put(Readable.from(linesOf(rows))), rowCount: rows.length };
      });
    },

    async evaluateModel({ plan, model: digest, dataset, rows: rowsDigest }) {
      return await pulse(async (say, signal) => {
        const what = `evaluation of ${digest} on ${rowsDigest}`;
        const before = await pinned(store, plan, what);
        if (before) return summaryOf(before, await getManifest(store, before, 'Evaluation'));

        const { folder, model } = await models.open(digest);
        const rows: DataRow[] = [];
        for await (const row of readRows(store, rowsDigest)) rows.push(row);
        const scored = await score({ modelFolder: folder, signal }, rows, (done) => say({ done, of: rows.length }));
        if ('problem' in scored)
          log.warn('not servable', { loop: plan.loop, cycle: plan.n, digest, problem: scored.problem });
        const { outcomes, latency } = 'problem' in scored ? nothingScored : scored;
        const meaning = meaningOf(model.signature);
        const evaluation: Evaluation = {
          kind: 'Evaluation',
          parents: [digest, dataset],
          createdAt: new Date().toISOString(),
          model: digest,
          dataset,
          outcomes: await store.blobs.put(Readable.from(linesOf(outcomes))),
          rowCount: rows.length,
          metrics: computeMetrics(outcomes, meaning),
          slices: sliceMetrics(outcomes, meaning),
          latency,
          sizeBytes: model.sizeBytes,
          servable: !('problem' in scored),
        };
        return summaryOf(await keep(store, plan, what, evaluation), evaluation);
      });
    },
  };
}

type Scored = { outcomes: RowOutcome[]; latency: Evaluation['latency'] };
const nothingScored: Scored = { outcomes: [], latency: { p50Ms: 0, p95Ms: 0, p99Ms: 0, samples: 0 } };

/**
 * Servability is to load, to answer neutral rows, and to answer these: whatever fails in it is said about the model. A
 * process that died may have been killed for memory by another's need, so that one is tried again.
 */
async function score(
  options: ScorerOptions,
  rows: readonly DataRow[],
  onProgress: (rowsDone: number) => void,
): Promise<Scored | { problem: string }> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await scoreOnce(options, rows, onProgress);
    } catch (error) {
      if (!(error instanceof ServingError)) throw error;
      if (error.type === servingErrors.inferenceCrashed && attempt === 1) continue;
      return { problem: `${error.type}: ${error.message}` };
    }
  }
}

async function scoreOnce(
  options: ScorerOptions,
  rows: readonly DataRow[],
  onProgress: (rowsDone: number) => void,
): Promise<Scored> {
  const scorer = await createScorer(options);
  try {
    if (rows.length === 0) return nothingScored;
    const features = rows.map((row) => row.features);
    const predictions = await scorer.score(features, onProgress);
    return {
      outcomes: rows.map((row, i) => outcomeOf(row, predictions[i]!)),
      latency: await scorer.latency({ ...latencySamples, rows: features.slice(0, latencyRows) }),
    };
  } finally {
    await scorer.close();
  }
}

function summaryOf(
  digest: Digest,
  { servable, metrics }: Evaluation,
): Awaited<ReturnType<EvaluateActivities['evaluateModel']>> {
  const summary = Object.fromEntries(Object.entries(metrics).map(([name, { value }]) => [name, value]));
  return { evaluation: digest, servable, summary };
}

/** The newest rows of a stream, without keeping the rest. */
class NewestRows {
  private readonly most: number;
  private rows: DataRow[] = [];

  constructor(most: number) {
    this.most = most;
  }

  add(row: DataRow): void {
    this.rows.push(row);
    if (this.rows.length >= 2 * this.most + 1_000) this.rows = this.inOrder();
  }

  /** Newest last; the id settles ties, so that the same data give the same bytes. */
  inOrder(): DataRow[] {
    const inOrder = this.rows.sort((a, b) => compare(a.time, b.time) || compare(a.id, b.id));
    return inOrder.slice(-this.most);
  }
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

const outcomeOf = ({ id, time, label, slices }: DataRow, { label: predicted, score }: Prediction): RowOutcome => ({
  id,
  time,
  label,
  predicted,
  score,
  slices,
});

/** For two classes the second label is the positive one. */
export const meaningOf = ({ task, labels }: ModelSignature): RowMeaning => ({
  task,
  ...(task === 'binary-classification' && labels[1] !== undefined && { positive: labels[1] }),
});

/** JSONL, a chunk per line: large sets never lie in memory twice. An empty set is an empty blob. */
function* linesOf(values: readonly object[]): Iterable<Buffer> {
  for (const value of values) yield Buffer.from(`${JSON.stringify(value)}\n`);
}
