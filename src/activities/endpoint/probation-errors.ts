import type { CaptureRecord } from '../../contracts/endpoint.ts';
import { type Trials, twoSampleEvidence } from '../../stats/sequential.ts';
import type { Store } from '../../store/types.ts';

/** A version that fails no more often than it may is rolled back for it at most this often, however often one looks. */
const alpha = 0.01;

/** Requests of the version in probation, and of the one before that answers beside it as a shadow. */
export interface ErrorCounts {
  /** Captures before it are counted. */
  cursor: string;
  current: Trials;
  stable: Trials;
}

/**
 * Labels say what a version answers wrongly, and nothing of what it does not answer: a version that fails or dies on
 * traffic that its canary did not see is found here, against the version before on the same traffic.
 */
export async function countErrors(
  store: Pick<Store, 'captures'>,
  endpoint: string,
  model: string,
  before: ErrorCounts | undefined,
): Promise<ErrorCounts> {
  const none = (): Trials => ({ trials: 0, events: 0 });
  const counts: ErrorCounts = before
    ? { ...before, current: { ...before.current }, stable: { ...before.stable } }
    : { cursor: await store.captures.tail(endpoint), current: none(), stable: none() };
  while (true) {
    const page = await store.captures.read(endpoint, counts.cursor);
    counts.cursor = page.cursor;
    if (page.records.length === 0) return counts;
    for (const record of page.records) {
      const tally = tallyOf(counts, record, model);
      if (!tally) continue;
      tally.trials += 1;
      if (!record.answer) tally.events += 1;
    }
  }
}

function tallyOf({ current, stable }: ErrorCounts, record: CaptureRecord, model: string): Trials | undefined {
  if (record.shadow) return record.variant === 'stable' ? stable : undefined;
  return record.model === model ? current : undefined;
}

/** Why it must go; undefined: no reason yet. @param margin error rate above the other's that is tolerated, 0.01 = 1 pt */
export function tooManyErrors({ current, stable }: ErrorCounts, margin: number): string | undefined {
  if (current.trials === 0 || stable.trials === 0) return undefined;
  if (twoSampleEvidence(current, stable, margin) < Math.log(1 / alpha)) return undefined;
  const points = Number((100 * margin).toPrecision(3));
  return `${current.events} of ${current.trials} requests failed, ${stable.events} of ${stable.trials} on the version before on the same traffic, +${points} pt is tolerated.`;
}
