import { setTimeout as delay } from 'node:timers/promises';
import type { Digest } from '../../../contracts/digest.ts';
import type { DesiredState, ReplicaStatus } from '../../../contracts/endpoint.ts';
import { refNames } from '../../../contracts/names.ts';
import type { Store } from '../../../store/types.ts';
import { ModelUnavailable } from '../inference/model-unavailable.ts';
import type { InferencePool } from '../inference/pool.ts';
import type { Log } from '../log.ts';
import { emptyTable, type ServingTable, tableOf } from '../routing.ts';
import { decodeDesiredState, UnusableDesiredState } from './decode.ts';
import { mayPass } from './may-pass.ts';

const longestRetryMs = 30_000;

/**
 * Keeps what is served equal to what the store says should be. Until every model of a new state is loaded and has
 * answered, the old one goes on; a newer state overtakes one that is still loading, so that a rollback never waits for
 * the download that it undoes. Which state counts is for the ref to say, not for the generation's size: an operator may
 * move the ref back to an older blob.
 */
export class DesiredFollower {
  private readonly endpoint: string;
  private readonly store: Store;
  private readonly pool: Pick<InferencePool, 'prepare' | 'retireAllBut'>;
  private readonly log: Log;
  private readonly stopping = new AbortController();
  private serving: ServingTable = emptyTable;
  private problem: ReplicaStatus['error'];
  /** The blob that the ref named last, and the state in it. */
  private seen: Digest | undefined;
  private newest: DesiredState | undefined;
  private pollMs = 500;
  private failures = 0;
  private retryAtMs = Number.POSITIVE_INFINITY;
  private storeIsReachable = true;
  private following: Promise<void> = Promise.resolve();

  constructor(endpoint: string, store: Store, pool: Pick<InferencePool, 'prepare' | 'retireAllBut'>, log: Log) {
    this.endpoint = endpoint;
    this.store = store;
    this.pool = pool;
    this.log = log;
  }

  /** Read it once per request: it is replaced as a whole. */
  get table(): ServingTable {
    return this.serving;
  }
  /** Why the newest desired state is not served. */
  get error(): ReplicaStatus['error'] {
    return this.problem;
  }

  /** What fails is tried again after `pollMs`, then after twice as long each time. */
  start(pollMs: number): void {
    this.pollMs = pollMs;
    this.following = this.follow();
  }

  async stop(): Promise<void> {
    this.stopping.abort();
    await this.following;
  }

  private async follow(): Promise<void> {
    const { signal } = this.stopping;
    while (!signal.aborted) {
      await this.poll();
      await delay(this.pollMs, undefined, { signal }).catch(() => {});
    }
  }

  private async poll(): Promise<void> {
    try {
      const ref = await this.store.refs.read(refNames.desired(this.endpoint));
      if (ref && ref.digest !== this.seen) {
        const bytes = await this.store.blobs.read(ref.digest);
        this.seen = ref.digest;
        this.take(bytes);
      } else if (this.newest && performance.now() >= this.retryAtMs) {
        this.retryAtMs = Number.POSITIVE_INFINITY;
        void this.apply(this.newest);
      }
      if (!this.storeIsReachable) this.log.info({}, 'the store answers again');
      this.storeIsReachable = true;
    } catch (error) {
      // What is served does not depend on the store; only changes have to wait.
      if (this.storeIsReachable) this.log.error({ error: String(error) }, 'cannot read the desired state, serving on');
      this.storeIsReachable = false;
    }
  }

  private take(bytes: Uint8Array): void {
    this.failures = 0;
    this.retryAtMs = Number.POSITIVE_INFINITY;
    this.newest = undefined;
    try {
      this.newest = decodeDesiredState(bytes, this.endpoint);
      void this.apply(this.newest);
    } catch (error) {
      if (!(error instanceof UnusableDesiredState)) throw error;
      this.report({ generation: error.generation, message: error.message, mayPass: false });
    }
  }

  private async apply(state: DesiredState): Promise<void> {
    const models = [...new Set(state.variants.map(({ model }) => model))];
    try {
      await this.pool.prepare(models);
      if (this.newest !== state) return;
      this.serving = tableOf(state);
      this.problem = undefined;
      this.log.info({ generation: state.generation, variants: state.variants }, 'serving');
    } catch (error) {
      if (this.newest !== state || this.stopping.signal.aborted) return;
      const model = error instanceof ModelUnavailable ? { model: error.model } : {};
      const passing = mayPass(error, this.failures);
      this.report({ generation: state.generation, ...model, message: messageOf(error), mayPass: passing });
      if (passing) this.retryAtMs = performance.now() + Math.min(longestRetryMs, this.pollMs * 2 ** this.failures);
      this.failures++;
    } finally {
      await this.retire();
    }
  }

  /** Unloads what neither the served nor the coming state names. */
  private async retire(): Promise<void> {
    const { variants, shadows } = this.serving;
    const named = [...variants, ...shadows, ...(this.newest?.variants ?? [])];
    await this.pool.retireAllBut(new Set(named.map(({ model }) => model)));
  }

  private report(problem: NonNullable<ReplicaStatus['error']>): void {
    this.problem = problem;
    this.log.error({ ...problem, served: this.serving.generation }, 'cannot serve the desired state, serving on');
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
