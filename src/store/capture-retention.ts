import { DesiredState } from '../contracts/endpoint.ts';
import { refNames } from '../contracts/names.ts';
import { NotFound } from './errors.ts';
import { defaultRetentionMs } from './in-force.ts';
import { getJson } from './manifests.ts';
import type { Store } from './types.ts';
import type { KeptStore } from './upkeep.ts';

export interface CaptureRetentionOptions {
  /** Captures are kept for so long; 90 days, as the past of refs is. */
  retentionMs?: number;
  dryRun?: boolean;
  now?: Date;
}

/** What became of one endpoint's captures; in a dry run, what would. */
export interface CaptureRetentionReport {
  endpoint: string;
  /** Small segments that were put into packs; not counted in a dry run. */
  packedSegments: number;
  /** ISO; everything from then on is kept. */
  keptSince: string;
  /** Why more is kept than retention asks for. */
  keptBecause?: string;
  /** Packs that were dropped, replicas that wrote nothing since, and what both took on disk. */
  droppedPacks: number;
  droppedReplicas: number;
  droppedBytes: number;
}

/**
 * Packs the captures of every endpoint and drops those that are past retention. Verdicts rest on evaluations, which are
 * blobs; a canary and an open probation rest on captures, so nothing is dropped that is younger than the oldest of them,
 * however long it takes.
 */
export async function retainCaptures(
  store: KeptStore,
  { retentionMs = defaultRetentionMs, dryRun = false, now = new Date() }: CaptureRetentionOptions = {},
): Promise<CaptureRetentionReport[]> {
  const { captures } = store.upkeep;
  const reports: CaptureRetentionReport[] = [];
  for (const endpoint of await captures.endpoints()) {
    const wanted = now.getTime() - retentionMs;
    const needed = await comparedSinceMs(store, endpoint);
    const isLonger = needed !== undefined && needed < wanted;
    const olderThan = new Date(isLonger ? needed : wanted);
    const packed = dryRun ? { segments: 0 } : await captures.pack(endpoint);
    const dropped = await captures.dropOlder(endpoint, { olderThan, dryRun });
    reports.push({
      endpoint,
      packedSegments: packed.segments,
      keptSince: olderThan.toISOString(),
      ...(isLonger && { keptBecause: 'a canary or a probation is open since then' }),
      droppedPacks: dropped.packs,
      droppedReplicas: dropped.replicas,
      droppedBytes: dropped.bytes,
    });
  }
  return reports;
}

/**
 * Since when two models are compared on live traffic without a break, as the desired state says it: a candidate beside
 * the current one, or the version before as a shadow. Undefined when only one counts now.
 */
async function comparedSinceMs(store: Store, endpoint: string): Promise<number | undefined> {
  let sinceMs: number | undefined;
  for await (const { digest, time } of store.refs.history(refNames.desired(endpoint))) {
    try {
      const { variants } = await getJson(store, DesiredState, digest);
      const compares = variants.some(({ name, shadow }) => name === 'candidate' || (name === 'stable' && shadow));
      if (!compares) return sinceMs;
      sinceMs = Date.parse(time);
    } catch (error) {
      // Past retention: what came before it is not known any more.
      if (error instanceof NotFound) return sinceMs;
      throw error;
    }
  }
  return sinceMs;
}
