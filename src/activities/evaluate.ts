import { Readable } from 'node:stream';
import type { EvaluateActivities } from '../contracts/activities.ts';
import type { RowOutcome } from '../contracts/manifests.ts';
import type { ModelSignature, Prediction } from '../contracts/model.ts';
import { probe } from '../serving/scoring/probe.ts';
import { createScorer } from '../serving/scoring/scorer.ts';
import { computeMetrics, sliceMetrics } from '../stats/metrics.ts';
import type { RowMeaning } from '../stats/scored-rows.ts';
import { getManifest, putManifest } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import { type DataRow, readRows } from './data/rows.ts';
import type { ModelFolders } from './model-folders.ts';
import { pin } from './pins.ts';
import { pulse } from './pulse.ts';

export interface EvaluateDeps {
  store: Store;
  models: ModelFolders;
}

/** Enough for a p99 that rests on a few samples; the rows are real, one at a time. */
const latencySamples = { warmup: 20, samples: 300 };

export function createEvaluateActivities({ store, models }: EvaluateDeps): EvaluateActivities {
  return {
    async selectHoldout({ plan, dataset: digest }) {
      return await pulse(async () => {
        const dataset = await getManifest(store, digest, 'Dataset');
        const rows: DataRow[] = [];
        for (const segment of dataset.segments)
          for await (const row of readRows(store, segment.holdout)) rows.push(row);
        // Newest last; the id settles ties, so that the same data give the same blob.
        rows.sort((a, b) => (a.time === b.time ? (a.id < b.id ? -1 : 1) : a.time < b.time ? -1 : 1));
        const newest = rows.slice(-plan.holdoutNewest);
        const blob = await store.blobs.put(Readable.from(linesOf(newest)));
        return { rows: blob, rowCount: newest.length };
      });
    },

    async evaluateModel({ plan, model: digest, dataset, rows: rowsDigest }) {
      return await pulse(async (say, signal) => {
        const { folder, model } = await models.open(digest);
        const rows: DataRow[] = [];
        for await (const row of readRows(store, rowsDigest)) rows.push(row);
        const features = rows.map((row) => row.features);
        const servability = await probe({ modelFolder: folder, signal, rows: features.slice(0, 8) });

        let outcomes: RowOutcome[] = [];
        let latency = { p50Ms: 0, p95Ms: 0, p99Ms: 0, samples: 0 };
        if (servability.servable && rows.length > 0) {
          const scorer = await createScorer({ modelFolder: folder, signal });
          try {
            const predictions = await scorer.score(features, (done) => say({ scored: done, of: rows.length }));
            outcomes = rows.map((row, i) => outcomeOf(row, predictions[i]!));
            latency = await scorer.latency({ ...latencySamples, rows: features.slice(0, 200) });
          } finally {
            await scorer.close();
          }
        }
        const meaning = meaningOf(model.signature);
        const metrics = computeMetrics(outcomes, meaning);
        const evaluation = await putManifest(store, {
          kind: 'Evaluation',
          parents: [digest, dataset],
          createdAt: new Date().toISOString(),
          model: digest,
          dataset,
          outcomes: await store.blobs.put(Readable.from(linesOf(outcomes))),
          rowCount: rows.length,
          metrics,
          slices: sliceMetrics(outcomes, meaning),
          latency,
          sizeBytes: model.sizeBytes,
          servable: servability.servable,
        });
        await pin(store, plan, `evaluation of ${digest}`, evaluation);
        return {
          evaluation,
          servable: servability.servable,
          summary: Object.fromEntries(Object.entries(metrics).map(([name, { value }]) => [name, value])),
        };
      });
    },
  };
}

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
