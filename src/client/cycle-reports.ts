import type { Digest } from '../contracts/digest.ts';
import type { CycleReport } from '../contracts/manifests.ts';
import { isName, refNames } from '../contracts/names.ts';
import { getManifest } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import { InvalidArgument } from './errors.ts';

/** @param id `<loop>/<n>`, also as the workflow's id `cycle/<loop>/<n>` */
export function parseCycleId(id: string): { loop: string; n: number } {
  const [, loop, n] = /^(?:cycle\/)?([^/]+)\/([1-9]\d{0,8})$/.exec(id) ?? [];
  if (!loop || !isName(loop))
    throw new InvalidArgument(`cycle ${JSON.stringify(id)}: expected <loop>/<number>, such as spam-filter/3`);
  return { loop, n: Number(n) };
}

export interface StoredReport {
  digest: Digest;
  report: CycleReport;
}

/** Reports of cycles that have ended, newest first. */
export async function* cycleReports(store: Store, loop: string): AsyncIterable<StoredReport> {
  for await (const { digest } of store.refs.history(refNames.reports(loop)))
    yield { digest, report: await getManifest(store, digest, 'CycleReport') };
}

/**
 * The report of one cycle; undefined before it has ended. All of them are looked at: a cycle that was lost is reported
 * when that is found out, perhaps after its successor.
 */
export async function findReport(store: Store, loop: string, n: number): Promise<StoredReport | undefined> {
  for await (const stored of cycleReports(store, loop)) if (stored.report.cycle === n) return stored;
  return undefined;
}
