import { type DataRow, readRows } from '../activities/data/rows.ts';
import type { Digest } from '../contracts/digest.ts';
import type { Dataset, Model } from '../contracts/manifests.ts';
import { isHoldout, normaliseForHash } from '../stats/holdout.ts';
import { digestOf } from '../store/canonical-json.ts';
import { NotFound } from '../store/errors.ts';
import { getAnyManifest, getManifest } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';

/** What a model has learnt from: its own training data and those of every model whose weights it went on from. */
export interface Learnt {
  datasets: Dataset[];
  /** Newest time in them, ISO; empty when nothing is known. */
  to: string;
  /** An ancestor is gone from the store: what it had learnt from cannot be known. */
  isIncomplete: boolean;
}

export async function learntOf(store: Store, digest: Digest): Promise<Learnt> {
  const datasets = new Map<Digest, Dataset>();
  const seen = new Set<Digest>();
  const pending: Digest[] = [digest];
  let isIncomplete = false;
  const orGone = async <T>(read: Promise<T>): Promise<T | undefined> =>
    await read.catch((error: unknown) => {
      if (!(error instanceof NotFound)) throw error;
      isIncomplete = true;
      return undefined;
    });
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (seen.has(next)) continue;
    seen.add(next);
    const model: Model | undefined = await orGone(getManifest(store, next, 'Model'));
    if (!model) continue;
    if (model.warmStart) pending.push(model.warmStart as Digest);
    // An int8 model was made from a float one.
    const origin = await orGone(getAnyManifest(store, model.run));
    if (origin?.kind === 'Model') pending.push(model.run);
    if (datasets.has(model.dataset)) continue;
    const dataset = await orGone(getManifest(store, model.dataset, 'Dataset'));
    if (dataset) datasets.set(model.dataset, dataset);
  }
  const all = [...datasets.values()];
  const ends = all.flatMap(({ segments }) => segments.map(({ to }) => to));
  return { datasets: all, to: ends.sort().at(-1) ?? '', isIncomplete };
}

interface TrainRows {
  ids: Set<string>;
  contents: Set<string>;
}

/**
 * Counts rows that a model was trained on, by id or by content, a near-duplicate being as good as the row. With one
 * hold-out for ever there are none; there are when the share was raised, when the columns changed, and in a model from
 * another environment, which held out other rows. Each training segment is read at most once, and only where one of the
 * datasets could have had a row.
 */
export class LearntRows {
  private readonly store: Pick<Store, 'blobs'>;
  private readonly scored: Pick<Dataset, 'holdoutShare' | 'columns'>;
  private readonly segments = new Map<Digest, Promise<TrainRows | undefined>>();

  /** @param scored the dataset whose hold-out is scored */
  constructor(store: Pick<Store, 'blobs'>, scored: Pick<Dataset, 'holdoutShare' | 'columns'>) {
    this.store = store;
    this.scored = scored;
  }

  /** Null: it cannot be known, because training data are gone. */
  async count(learnt: Learnt, rows: readonly DataRow[]): Promise<number | null> {
    return (await this.among(learnt, rows))?.size ?? null;
  }

  /** Ids of those rows; undefined: it cannot be known. */
  async among({ datasets, isIncomplete }: Learnt, rows: readonly DataRow[]): Promise<Set<string> | undefined> {
    const learnt = new Set<string>();
    for (const dataset of datasets) {
      if (this.heldOutTheSame(dataset)) continue;
      for (const segment of dataset.segments) {
        const train = await this.trainRows(segment.train as Digest);
        if (!train) return undefined;
        for (const row of rows) if (train.ids.has(row.id) || train.contents.has(contentOf(row))) learnt.add(row.id);
      }
    }
    return isIncomplete && learnt.size === 0 ? undefined : learnt;
  }

  /** The hash of the content parts rows, and a larger share contains the smaller one. */
  private heldOutTheSame({ holdoutShare, columns }: Dataset): boolean {
    return (
      holdoutShare >= this.scored.holdoutShare && sorted(columns.features) === sorted(this.scored.columns.features)
    );
  }

  private async trainRows(digest: Digest): Promise<TrainRows | undefined> {
    const known = this.segments.get(digest) ?? this.read(digest);
    this.segments.set(digest, known);
    return await known;
  }

  private async read(digest: Digest): Promise<TrainRows | undefined> {
    const train: TrainRows = { ids: new Set(), contents: new Set() };
    try {
      for await (const row of readRows(this.store, digest)) {
        train.ids.add(row.id);
        // What today's hold-out leaves out is asked for by nobody.
        const content = contentOf(row);
        if (isHoldout(content, this.scored.holdoutShare)) train.contents.add(content);
      }
      return train;
    } catch (error) {
      if (error instanceof NotFound) return undefined;
      throw error;
    }
  }
}

const contentOf = ({ features }: DataRow): Digest => digestOf(normaliseForHash(features));
const sorted = (names: readonly string[]): string => JSON.stringify([...names].sort());
