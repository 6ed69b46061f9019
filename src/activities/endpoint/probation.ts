import type { Digest } from '../../contracts/digest.ts';
import { refNames } from '../../contracts/names.ts';
import { decideProbation, type ProbationDecision, type ProbationEvidence } from '../../stats/probation.ts';
import { getManifest } from '../../store/manifests.ts';
import type { Store } from '../../store/types.ts';
import { liveAnswers } from '../data/live-answers.ts';
import { type DataRow, readRows } from '../data/rows.ts';

/** A version that is within its margin is rolled back at most this often, however many labels arrive. */
const alpha = 0.01;

/** The newest time in the loop's accepted data: probation runs on the data's own clock (DESIGN §5). */
export async function dataClock(store: Store, loop: string): Promise<string> {
  const ref = await store.refs.read(refNames.dataset(loop));
  if (!ref) return '';
  const { segments } = await getManifest(store, ref.digest, 'Dataset');
  return segments.reduce((newest, { to }) => (to > newest ? to : newest), '');
}

/**
 * Labels that have arrived since probation began, against what the version answered live and what the version before
 * answered beside it as a shadow: paired, so that a hard week blames neither.
 */
export async function judgeProbation(
  store: Store,
  input: { endpoint: string; loop: string; model: Digest; accuracyLoss: number; sinceMs: number },
): Promise<ProbationDecision> {
  const rows = await labelledRows(store, input.loop);
  const since = (timeMs: number): boolean => timeMs >= input.sinceMs;
  const ours = await liveAnswers(
    store,
    input.endpoint,
    rows,
    (r) => !r.shadow && !r.background && r.model === input.model && since(r.timeMs),
  );
  const before = await liveAnswers(
    store,
    input.endpoint,
    rows,
    (r) => r.shadow && r.variant === 'stable' && since(r.timeMs),
  );
  const evidence: Extract<ProbationEvidence, { kind: 'paired' }> = { kind: 'paired', rows: 0, gained: 0, lost: 0 };
  for (const [id, { label }] of ours) {
    const theirs = before.get(id);
    if (!theirs) continue;
    const truth = rows.get(id)!.label;
    evidence.rows += 1;
    if (label === truth && theirs.label !== truth) evidence.gained += 1;
    if (label !== truth && theirs.label === truth) evidence.lost += 1;
  }
  return decideProbation(evidence, { accuracyMargin: input.accuracyLoss, alpha });
}

async function labelledRows(store: Store, loop: string): Promise<Map<string, DataRow>> {
  const rows = new Map<string, DataRow>();
  const ref = await store.refs.read(refNames.dataset(loop));
  const segments = ref ? (await getManifest(store, ref.digest, 'Dataset')).segments : [];
  for (const segment of segments) for await (const row of readRows(store, segment.rows)) rows.set(row.id, row);
  return rows;
}
