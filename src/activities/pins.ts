import type { CyclePlan } from '../contracts/activities.ts';
import type { Digest } from '../contracts/digest.ts';
import { refNames } from '../contracts/names.ts';
import type { Ref, Store } from '../store/types.ts';
import { appendRef } from './refs.ts';

/**
 * What an open cycle has made is kept from garbage collection by its pin, and a cycle that is run again under its number
 * finds there what it had decided (DESIGN §3).
 */
export async function pin(
  store: Store,
  plan: Pick<CyclePlan, 'loop' | 'n'>,
  what: string,
  digest: Digest,
): Promise<void> {
  await appendRef(store, refNames.pin(plan.loop, plan.n), digest, {
    operation: `${what} ${digest}`,
    by: `cycle/${plan.loop}/${plan.n}`,
    reason: what,
  });
}

export async function pinned(
  store: Store,
  plan: Pick<CyclePlan, 'loop' | 'n'>,
  what: string,
): Promise<Ref | undefined> {
  for await (const entry of store.refs.history(refNames.pin(plan.loop, plan.n)))
    if (entry.reason === what) return entry;
  return undefined;
}
