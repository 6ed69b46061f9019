import type { Digest } from '../contracts/digest.ts';
import { DesiredState } from '../contracts/endpoint.ts';
import { isName, refNames } from '../contracts/names.ts';
import { getJson, putJson } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import { InvalidArgument, NotFoundError, Refused } from './errors.ts';

export interface RolledBackByHand {
  endpoint: string;
  /** What takes the traffic now; undefined in the middle of a canary. */
  from: Digest | undefined;
  to: Digest;
  generation: number;
  /** The entry of the desired ref that says so. */
  entry: number;
}

/**
 * Break-glass: moves the desired state itself back to what served before, also while Temporal is away. Replicas follow
 * within half a second; the endpoint's workflow notices, adopts it and stays frozen. What it leaves is barred, so a
 * second call goes further back and never returns to it.
 *
 * @throws NotFoundError when the endpoint never served; Refused when there is nothing to go back to; RefConflict when
 * somebody moved the state at the same time
 */
export async function rollBackByHand(
  store: Store,
  endpoint: string,
  { requestId, reason, by }: { requestId: string; reason: string; by: string },
): Promise<RolledBackByHand> {
  if (!isName(endpoint))
    throw new InvalidArgument(
      `endpoint ${JSON.stringify(endpoint)}: expected lower-case letters, digits, ".", "_" and "-"`,
    );
  const name = refNames.desired(endpoint);
  const newest = await store.refs.read(name);
  if (!newest) throw new NotFoundError(`the endpoint ${endpoint} has never served anything`);
  const now = await getJson(store, DesiredState, newest.digest);
  const target = await servedBefore(store, endpoint, now);
  if (!target) throw new Refused(`no other version has served on ${endpoint} that was not rolled back`);

  const generation = now.generation + 1;
  const frozen = { by, reason, at: new Date().toISOString() };
  const digest = await putJson(store, DesiredState, { ...target.state, generation, frozen });
  const { entry } = await store.refs.compareAndSet(name, newest, digest, { operation: requestId, by, reason });
  const from = serving(now);
  for (const { model } of now.variants.filter((v) => v.model !== target.model && !v.shadow))
    await store.refs.append(refNames.barred(endpoint), model, { operation: `${requestId}/bar ${model}`, by, reason });
  return { endpoint, from, to: target.model, generation, entry };
}

/** The newest settled state that another version served alone, one that nobody has rolled back. */
async function servedBefore(
  store: Store,
  endpoint: string,
  now: DesiredState,
): Promise<{ state: DesiredState; model: Digest } | undefined> {
  const barred = new Set<Digest>();
  for await (const { digest } of store.refs.history(refNames.barred(endpoint))) barred.add(digest);
  for await (const entry of store.refs.history(refNames.desired(endpoint))) {
    const state = await getJson(store, DesiredState, entry.digest);
    const model = serving(state);
    const settled = model !== undefined && !state.variants.some((v) => v.name === 'candidate');
    if (settled && model !== serving(now) && !barred.has(model)) return { state, model };
  }
  return undefined;
}

const serving = ({ variants }: DesiredState): Digest | undefined => variants.find((v) => v.weight === 100)?.model;
