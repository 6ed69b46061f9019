import type { Digest } from '../contracts/digest.ts';
import { DesiredState } from '../contracts/endpoint.ts';
import { refNames } from '../contracts/names.ts';
import { InvalidInput, NotFound } from '../store/errors.ts';
import { defaultRetentionMs, entriesInForce } from '../store/in-force.ts';
import { getAnyManifest, getJson, getManifest } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';

/** Why a model's files must stay, by the digest of its manifest. */
export type Holds = Map<Digest, Set<string>>;

/**
 * What nobody may prune, whatever they ask for: what is or was champion or anchor within the retention of refs, what an
 * endpoint's desired state or a deployment of that time names (the rollback targets are among them, kept warm), what an
 * open cycle works on, and what a promotion waits with. Everywhere the newest entry counts, however old it is.
 */
export async function requiredHolds(store: Store, now: Date): Promise<Holds> {
  const holds: Holds = new Map();
  const hold = (digest: Digest, why: string): void => {
    holds.set(digest, (holds.get(digest) ?? new Set()).add(why));
  };
  const since = new Date(now.getTime() - defaultRetentionMs);
  for await (const name of store.refs.list('models/')) {
    const [, , what] = name.split('/');
    if (what === 'champion' || what === 'anchor') {
      let newest = true;
      for await (const { digest } of entriesInForce(store.refs, name, since)) {
        hold(digest, newest ? what : `was ${what} within 90 days`);
        newest = false;
      }
    } else if (what === 'promotions') {
      for await (const { digest } of entriesInForce(store.refs, name, since))
        if ((await kindOf(store, digest)) === 'Model') hold(digest, 'a promotion');
    }
  }
  for await (const name of store.refs.list('endpoints/')) {
    const [, endpoint, what] = name.split('/');
    if (what !== 'desired' && what !== 'deployments') continue;
    for await (const { digest } of entriesInForce(store.refs, name, since)) {
      if (what === 'deployments')
        hold((await getManifest(store, digest, 'Deployment')).model as Digest, `a deployment at ${endpoint}`);
      else
        for (const { model } of await variantsOf(store, digest))
          hold(model, `${endpoint} serves it or can go back to it`);
    }
  }
  for await (const name of store.refs.list('loops/')) {
    const [, loop, what] = name.split('/');
    if (loop === undefined || what !== 'cycles') continue;
    for (const digest of await ofOpenCycle(store, loop)) hold(digest, `a cycle of ${loop} that is open`);
  }
  return holds;
}

/** A state that a hand wrote may be no state at all: it serves nothing either. */
async function variantsOf(store: Store, digest: Digest): Promise<DesiredState['variants']> {
  try {
    return (await getJson(store, DesiredState, digest)).variants;
  } catch (error) {
    if (error instanceof InvalidInput) return [];
    throw error;
  }
}

/** Models that the newest cycle has made or works with, unless it has its report. */
async function ofOpenCycle(store: Store, loop: string): Promise<Digest[]> {
  const opened = await store.refs.read(refNames.cycles(loop));
  if (!opened) return [];
  for await (const { digest } of store.refs.history(refNames.reports(loop))) {
    const { cycle } = await getManifest(store, digest, 'CycleReport');
    if (cycle === opened.entry) return [];
    if (cycle < opened.entry) break;
  }
  const models: Digest[] = [];
  for await (const { digest } of store.refs.history(refNames.pin(loop, opened.entry)))
    if ((await kindOf(store, digest)) === 'Model') models.push(digest);
  return models;
}

/** Undefined for what is no manifest, or is gone. */
async function kindOf(store: Store, digest: Digest): Promise<string | undefined> {
  try {
    return (await getAnyManifest(store, digest)).kind;
  } catch (error) {
    if (error instanceof InvalidInput || error instanceof NotFound) return undefined;
    throw error;
  }
}
