import { setTimeout as delay } from 'node:timers/promises';
import type { Digest } from '../../contracts/digest.ts';
import { ReplicaRegistration } from '../../contracts/endpoint.ts';
import { refNames } from '../../contracts/names.ts';
import { getJson, putJson } from '../../store/manifests.ts';
import type { Store } from '../../store/types.ts';
import type { Log } from './log.ts';

const retryMs = 1_000;

/** This replica's entry in the store: written when it starts, as soon as the store lets it, and again when it stops. */
export class KeptRegistration {
  private readonly store: Store;
  private readonly facts: ReplicaRegistration;
  private readonly log: Log;
  private readonly stopping = new AbortController();
  private retrying: Promise<void> = Promise.resolve();

  constructor(store: Store, facts: ReplicaRegistration, log: Log) {
    this.store = store;
    this.facts = facts;
    this.log = log;
  }

  /** Tries once now; when the store does not answer it goes on trying beside everything else. */
  async begin(): Promise<void> {
    if (!(await this.succeeds(this.facts))) this.retrying = this.keepTrying();
  }

  /** One try: a replica that cannot say that it left is found out by its silence. */
  async end(withinMs: number): Promise<void> {
    this.stopping.abort();
    await this.retrying;
    const stopped = { ...this.facts, stoppedAt: new Date().toISOString() };
    await Promise.race([this.succeeds(stopped), delay(withinMs, undefined, { ref: false })]);
  }

  private async keepTrying(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      await delay(retryMs, undefined, { signal }).catch(() => {});
      if (signal.aborted || (await this.succeeds(this.facts))) return;
    }
  }

  private async succeeds(registration: ReplicaRegistration): Promise<boolean> {
    try {
      await register(this.store, registration);
      return true;
    } catch (error) {
      this.log.error({ error: String(error) }, 'cannot write the registration of this replica');
      return false;
    }
  }
}

/**
 * Read, then compare-and-set, is enough here: a replica is the only writer of its ref, and of two processes with one name
 * the later one should win.
 */
async function register(store: Store, registration: ReplicaRegistration): Promise<void> {
  const { endpoint, replica, startedAt, stoppedAt } = registration;
  const name = refNames.replica(endpoint, replica);
  const digest = await putJson(store, ReplicaRegistration, registration);
  const newest = await store.refs.read(name);
  // One that stops must not overwrite its successor.
  if (stoppedAt && newest && (await startOf(store, newest.digest)) !== startedAt) return;
  await store.refs.compareAndSet(name, newest, digest, {
    operation: `${replica}/${stoppedAt ? 'stop' : 'start'}/${startedAt}`,
    by: `endpoint ${endpoint}, replica ${replica}`,
    reason: stoppedAt ? 'stopped in good order' : 'started',
  });
}

const startOf = async (store: Store, digest: Digest): Promise<string> =>
  (await getJson(store, ReplicaRegistration, digest)).startedAt;
