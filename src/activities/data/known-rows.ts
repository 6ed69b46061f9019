import type { Digest } from '../../contracts/digest.ts';
import type { Dataset } from '../../contracts/manifests.ts';
import type { Store } from '../../store/types.ts';
import { readRows } from './rows.ts';

/**
 * Ids that a loop's dataset has already, so that what a data program delivers again is not new. Kept by segment: a loop
 * that polls reads each segment once in the life of its worker.
 */
export class KnownRows {
  private readonly store: Pick<Store, 'blobs'>;
  private readonly byLoop = new Map<string, Map<Digest, Set<string>>>();

  constructor(store: Pick<Store, 'blobs'>) {
    this.store = store;
  }

  async of(loop: string, dataset: Dataset | null): Promise<(id: string) => boolean> {
    const before = this.byLoop.get(loop);
    const segments = new Map<Digest, Set<string>>();
    for (const { rows } of dataset?.segments ?? []) segments.set(rows, before?.get(rows) ?? (await this.idsOf(rows)));
    this.byLoop.set(loop, segments);
    const known = [...segments.values()];
    return (id) => known.some((ids) => ids.has(id));
  }

  private async idsOf(rows: Digest): Promise<Set<string>> {
    const ids = new Set<string>();
    for await (const { id } of readRows(this.store, rows)) ids.add(id);
    return ids;
  }
}
