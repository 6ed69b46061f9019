import { verdictInput } from '../activities/gate.ts';
import type { Digest } from '../contracts/digest.ts';
import { GateSpec, type Verdict } from '../contracts/verdict.ts';
import { decideVerdict } from '../stats/verdict.ts';
import { canonicalJson } from '../store/canonical-json.ts';
import { getAnyManifest, getJson, getManifest, type ManifestOf } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import { findReport, parseCycleId } from './cycle-reports.ts';
import { InvalidArgument, NotFoundError } from './errors.ts';

export interface ReplayedVerdict {
  digest: Digest;
  /** The bytes of the recomputed verdict are those of the stored one. */
  equal: boolean;
  stored: Verdict;
  recomputed: Verdict;
  /** Rows that were judged again. */
  rows: number;
}

/** The digest of a cycle's verdict. @param what `<loop>/<n>`, or the digest of a Verdict or of a cycle's report */
export async function findVerdict(store: Store, what: string): Promise<Digest> {
  if (!what.startsWith('sha256:')) {
    const { loop, n } = parseCycleId(what);
    const stored = await findReport(store, loop, n);
    if (!stored) throw new NotFoundError(`cycle ${loop}/${n} has no report: it is running, or it never was`);
    if (!stored.report.verdict)
      throw new NotFoundError(`cycle ${loop}/${n} ended before its verdict: ${stored.report.outcome}`);
    return stored.report.verdict;
  }
  const manifest = await getAnyManifest(store, what as Digest);
  if (manifest.kind === 'Verdict') return what as Digest;
  if (manifest.kind === 'CycleReport' && manifest.verdict) return manifest.verdict;
  throw new InvalidArgument(
    `${what}: expected a Verdict, or the report of a cycle that has one; it is a ${manifest.kind}`,
  );
}

/**
 * Judges again from what the verdict rests on: the stored rows of each evaluation and the gate as it was. The statistics
 * are pure, so anything but the same bytes means that something was changed.
 */
export async function replayVerdict(store: Store, digest: Digest): Promise<ReplayedVerdict> {
  const manifest = await getManifest(store, digest, 'Verdict');
  const gate = await getJson(store, GateSpec, manifest.gate);
  const evaluations = await Promise.all(manifest.evaluations.map((e) => getManifest(store, e, 'Evaluation')));
  const of = (model: Digest): ManifestOf<'Evaluation'> => {
    const evaluation = evaluations.find((e) => e.model === model);
    if (!evaluation) throw new NotFoundError(`verdict ${digest} names no evaluation of ${model}`);
    return evaluation;
  };
  const { candidate, champion, anchor } = manifest;
  const recomputed = decideVerdict(
    await verdictInput(store, gate, {
      candidate: of(candidate),
      champion: champion && of(champion),
      anchor: anchor && of(anchor),
    }),
  );
  const stored = manifest.verdict;
  const equal = canonicalJson(recomputed) === canonicalJson(stored);
  return { digest, equal, stored, recomputed, rows: recomputed.rows };
}
