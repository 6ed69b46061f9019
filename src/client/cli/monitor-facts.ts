import { MonitorRecord } from '../../contracts/monitor.ts';
import { refNames } from '../../contracts/names.ts';
import { getJson } from '../../store/manifests.ts';
import type { Store } from '../../store/types.ts';

/** What the monitor of a loop found last; null where nothing was looked at yet. */
export async function monitorRecord(store: Store, loop: string): Promise<MonitorRecord | null> {
  const ref = await store.refs.read(refNames.monitor(loop));
  return ref ? await getJson(store, MonitorRecord, ref.digest) : null;
}

/** One line for each thing that is watched: the alarm, or what came nearest to one. */
export function monitorLines({ rows, answers }: MonitorRecord): [name: string, value: string][] {
  const lines: [string, string][] = [];
  if (rows?.drift) lines.push(['new rows', driftWords(rows.drift)]);
  if (answers) {
    const waiting = answers.reference ? 'no window is full yet' : 'the first window is being filled';
    lines.push(['live answers', answers.drift ? driftWords(answers.drift) : waiting]);
  }
  if (rows?.bias) lines.push(['bias', biasWords(rows.bias)]);
  return lines;
}

type Drift = NonNullable<NonNullable<MonitorRecord['rows']>['drift']>;
type Bias = NonNullable<NonNullable<MonitorRecord['rows']>['bias']>;

function driftWords({ reason, window, findings: [furthest] }: Drift): string {
  if (reason !== null) return reason;
  const how = furthest ? `; furthest ${furthest.subject}, PSI ${furthest.psi.toFixed(2)}` : '';
  return `no drift in window ${window}${how}`;
}

function biasWords({ reason, window, findings }: Bias): string {
  if (reason !== null) return reason;
  const [widest] = findings
    .flatMap(({ measure, feature, estimate }) =>
      measure === 'disparateImpactRatio' || estimate === null ? [] : [{ feature, estimate }],
    )
    .sort((a, b) => b.estimate - a.estimate);
  const how = widest
    ? `; widest by ${widest.feature}, ${(100 * widest.estimate).toFixed(1)} pt`
    : '; no two groups large enough';
  return `within the limit in window ${window}${how}`;
}
