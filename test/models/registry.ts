import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DataRow } from '../../src/activities/data/rows.ts';
import { writeSegment } from '../../src/activities/data/segment.ts';
import type { Digest } from '../../src/contracts/digest.ts';
import { AppliedLoop, type LoopFile } from '../../src/contracts/loop-spec.ts';
import { Dataset, Model } from '../../src/contracts/manifests.ts';
import { refNames } from '../../src/contracts/names.ts';
import type { scoreModel } from '../../src/models/score-model.ts';
import { loadPredictor } from '../../src/serving/predictor.ts';
import { materialise, putFolder } from '../../src/store/folders.ts';
import { putJson, putManifest } from '../../src/store/manifests.ts';
import { openStore } from '../../src/store/open.ts';
import type { KeptStore } from '../../src/store/upkeep.ts';
import { linearModel, numericSignature, writeModel } from '../serving/models.ts';

export const model = 'prices';
export const loop = 'prices-loop';

/** Row `n` of a day: ham below the line x = 0, spam above it; x is never the same twice. */
export const row = (day: string, n: number): DataRow => {
  const x = ((n * 37) % 101) / 50 - 1 + n / 10_000;
  return {
    id: `${day}-${n}`,
    time: `${day}T12:00:00.000Z`,
    label: x > 0 ? 'spam' : 'ham',
    features: { x, y: n },
    slices: [`half=${n % 2}`],
  };
};
export const rowsOf = (day: string, count: number): DataRow[] => Array.from({ length: count }, (_, n) => row(day, n));

/** A store with an applied loop, its data and its versions, as cycles leave them. */
export class Registry {
  readonly store: KeptStore;
  readonly folder: string;
  dataset: { digest: Digest; manifest: Dataset } | undefined;
  private entries = 0;

  private constructor(folder: string, store: KeptStore) {
    this.folder = folder;
    this.store = store;
  }

  static async open(name = 'home'): Promise<Registry> {
    const folder = await mkdtemp(join(tmpdir(), `goto3-models-${name}-`));
    return new Registry(folder, await openStore(join(folder, 'store'), { durability: 'fast' }));
  }

  close = (): Promise<void> => rm(this.folder, { recursive: true });

  async point(name: string, digest: Digest, by = 'ann'): Promise<void> {
    this.entries += 1;
    await this.store.refs.append(name, digest, { operation: `test/${this.entries}`, by, reason: 'test' });
  }

  async apply(changes: Partial<LoopFile> = {}): Promise<Digest> {
    const file: LoopFile = {
      apiVersion: 'goto3/v1',
      loop,
      model,
      data: {
        program: ['node', 'feed.mjs'],
        columns: { id: 'id', time: 'at', label: 'kind', features: ['x', 'y'] },
        holdout: { share: '50%', newest: 1_000 },
        slices: ['half'],
      },
      train: { program: ['node', 'train.mjs'] },
      gate: { metrics: [{ metric: 'accuracy', floor: 0.6, margin: '5pt' }] },
      rollout: 'none',
      ...changes,
    };
    const applied = {
      schema: 'goto3/applied-loop/v1',
      file: { ...file },
      folder: this.folder,
      appliedBy: 'ann',
    } as const;
    const digest = await putJson(this.store, AppliedLoop, applied);
    await this.point(refNames.loopSpec(loop), digest);
    return digest;
  }

  /** Accepts rows as one more segment. */
  async deliver(rows: readonly DataRow[], holdoutShare = 0.5): Promise<Digest> {
    const segment = await writeSegment(this.store, { holdoutShare, task: 'classification' }, async (add) => {
      for (const row of rows) await add(row);
      return { schemaErrors: {}, redelivered: 0 };
    });
    const before = this.dataset;
    const segments = [...(before?.manifest.segments ?? []), ...(segment ? [segment] : [])];
    return await this.accept({ segments, holdoutShare, parents: before ? [before.digest] : [] });
  }

  async accept(parts: Pick<Dataset, 'segments' | 'holdoutShare' | 'parents'>): Promise<Digest> {
    const manifest = Dataset.parse({
      kind: 'Dataset',
      createdAt: new Date(0).toISOString(),
      loop,
      ...parts,
      rowCount: parts.segments.reduce((sum, { rowCount }) => sum + rowCount, 0),
      classCounts: {},
      cursor: '',
      columns: { id: 'id', time: 'at', label: 'kind', features: ['x', 'y'] },
    });
    const digest = await putManifest(this.store, manifest);
    this.dataset = { digest, manifest };
    await this.point(refNames.dataset(loop), digest);
    return digest;
  }

  /** A model that draws its line at x = `line`, trained on the accepted data. */
  async train(line: number, { warmStart, cycle = 1 }: { warmStart?: Digest; cycle?: number } = {}): Promise<Digest> {
    const dataset = this.dataset!.digest;
    const bytes = linearModel({ wx: 50, bias: -50 * line });
    const files = await putFolder(this.store, await writeModel(await mkdtemp(join(this.folder, 'model-')), bytes));
    const run = await putManifest(this.store, {
      ...{ kind: 'Run', parents: [dataset], createdAt: new Date(0).toISOString(), job: `${loop}/${cycle}/train/1` },
      jobSpec: await this.store.blobs.put(Buffer.from(`job spec ${cycle}`)),
      ...{ program: ['node', 'train.mjs'], hyperparameters: {}, metrics: {}, durationMs: 1, attempts: 1 },
    } as const);
    const manifest = Model.parse({
      ...{ kind: 'Model', parents: [run], createdAt: new Date(0).toISOString(), model, loop, cycle, precision: 'fp32' },
      ...{ files, signature: numericSignature, sizeBytes: bytes.length, run, dataset, ...(warmStart && { warmStart }) },
    });
    return await putManifest(this.store, manifest);
  }

  async approve(digest: Digest): Promise<Digest> {
    await this.point(refNames.versions(model), digest);
    return digest;
  }
}

/** The same engine without a process a model: what the arithmetic around it does needs no isolation. */
export const scoreHere: typeof scoreModel = async ({ store, scratch }, { files }, rows) => {
  const folder = await mkdtemp(join(scratch, 'model-'));
  await materialise(store, files, folder);
  const predictor = await loadPredictor(folder);
  try {
    const predictions = await predictor.predict(rows.map(({ features }) => features));
    return rows.map(({ id, time, label, slices }, i) => {
      const { label: predicted, score } = predictions[i]!;
      return { id, time, label, predicted, score, slices };
    });
  } finally {
    await predictor.close();
  }
};
