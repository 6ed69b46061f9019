import type { CyclePlan } from '../contracts/activities.ts';
import type { Digest } from '../contracts/digest.ts';
import type { Manifest } from '../contracts/manifests.ts';
import { refNames, workflowIds } from '../contracts/names.ts';
import { canonicalJson } from '../store/canonical-json.ts';
import { getAnyManifest, putManifest } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';

type Cycle = Pick<CyclePlan, 'loop' | 'n'>;

/**
 * What an open cycle has made is kept from garbage collection by its pin, and a cycle that is run again under its number
 * finds there what it had decided (DESIGN §3).
 */
export async function pin(store: Store, { loop, n }: Cycle, what: string, digest: Digest): Promise<void> {
  await store.refs.append(refNames.pin(loop, n), digest, {
    operation: `${what} ${digest}`,
    by: workflowIds.cycle(loop, n),
    reason: what,
  });
}

/** The newest thing that was pinned under this name. */
export async function pinned(store: Store, { loop, n }: Cycle, what: string): Promise<Digest | undefined> {
  for await (const { reason, digest } of store.refs.history(refNames.pin(loop, n))) if (reason === what) return digest;
  return undefined;
}

/**
 * Stores and pins a manifest. Made a second time by a retry, with the same content, it is the one that was made first:
 * only the clock differs, and a digest that has reached a history or a job must not change.
 */
export async function keep(store: Store, cycle: Cycle, what: string, manifest: Manifest): Promise<Digest> {
  const before = await pinned(store, cycle, what);
  if (before && isSame(await getAnyManifest(store, before), manifest)) return before;
  const digest = await putManifest(store, manifest);
  await pin(store, cycle, what, digest);
  return digest;
}

const isSame = (a: Manifest, b: Manifest): boolean =>
  canonicalJson({ ...a, createdAt: '' }) === canonicalJson({ ...b, createdAt: '' });
