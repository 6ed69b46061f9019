import type { CyclePlan, SnapshotResult } from '../../contracts/activities.ts';
import type { Digest } from '../../contracts/digest.ts';
import type { LoopSpec } from '../../contracts/loop-spec.ts';
import type { Dataset, DatasetSegment } from '../../contracts/manifests.ts';
import { getManifest } from '../../store/manifests.ts';
import type { Store } from '../../store/types.ts';
import { keep } from '../pins.ts';
import { readRows } from './rows.ts';
import { type Parting, writeSegment } from './segment.ts';

/** The dataset that was accepted when the cycle began. */
export const acceptedDataset = async (store: Store, { dataset }: CyclePlan): Promise<Dataset | null> =>
  dataset && (await getManifest(store, dataset.digest, 'Dataset'));

/** What a snapshot added to the accepted dataset; undefined when it only moved the cursor or parted the rows anew. */
export const addedSegment = (dataset: Dataset, before: Dataset | null): DatasetSegment | undefined =>
  dataset.segments[before?.segments.length ?? 0];

export async function keepDataset(
  store: Store,
  plan: CyclePlan,
  spec: LoopSpec,
  what: string,
  {
    parent,
    segments,
    ...rest
  }: { parent: Digest | undefined } & Pick<Dataset, 'segments' | 'cursor' | 'waiting' | 'newestTime'>,
): Promise<{ digest: Digest; dataset: Dataset }> {
  const dataset: Dataset = {
    kind: 'Dataset',
    parents: parent ? [parent] : [],
    createdAt: new Date().toISOString(),
    loop: plan.loop,
    segments,
    rowCount: segments.reduce((sum, s) => sum + s.rowCount, 0),
    classCounts: addCounts(segments.map((s) => s.classCounts)),
    ...rest,
    columns: spec.data.columns,
    holdoutShare: spec.data.holdout.share,
  };
  return { digest: await keep(store, plan, what, dataset), dataset };
}

export const summaryOf = (digest: Digest, { segments, rowCount }: Dataset, newRows: number): SnapshotResult => ({
  dataset: digest,
  rowCount,
  newRows,
  trainRows: segments.reduce((sum, s) => sum + s.trainRows, 0),
  holdoutRows: segments.reduce((sum, s) => sum + s.holdoutRows, 0),
});

/** A spec that holds out another share parts all earlier rows anew; a larger share contains the smaller one. */
export async function withShare(
  store: Store,
  { segments, holdoutShare }: Dataset,
  parting: Parting,
): Promise<DatasetSegment[]> {
  if (holdoutShare === parting.holdoutShare) return segments;
  const parted: DatasetSegment[] = [];
  for (const segment of segments) {
    const again = await writeSegment(store, parting, async (add) => {
      for await (const row of readRows(store, segment.rows)) await add(row);
      return { schemaErrors: segment.schemaErrors, redelivered: segment.redelivered };
    });
    if (again) parted.push(again);
  }
  return parted;
}

function addCounts(counts: readonly Record<string, number>[]): Record<string, number> {
  const sum = new Map<string, number>();
  for (const count of counts) for (const [name, n] of Object.entries(count)) sum.set(name, (sum.get(name) ?? 0) + n);
  return Object.fromEntries(sum);
}

/** Lowest and highest label, where labels are numbers. */
export function labelRangeOf({ segments }: Dataset): { lowest: number; highest: number } | null {
  const ranges = segments.flatMap(({ labelRange }) => (labelRange ? [labelRange] : []));
  if (ranges.length === 0) return null;
  return {
    lowest: Math.min(...ranges.map(({ lowest }) => lowest)),
    highest: Math.max(...ranges.map(({ highest }) => highest)),
  };
}
