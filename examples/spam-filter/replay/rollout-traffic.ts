import { setTimeout as delay } from 'node:timers/promises';
import type { Digest } from '../../../src/contracts/digest.ts';
import { DesiredState } from '../../../src/contracts/endpoint.ts';
import type { FeatureRow } from '../../../src/contracts/model.ts';
import { refNames } from '../../../src/contracts/names.ts';
import { startBackgroundTraffic, type TrafficCounts } from '../../../src/serving/traffic.ts';
import { getJson } from '../../../src/store/manifests.ts';
import type { Store } from '../../../src/store/types.ts';

export interface RolloutTrafficOptions {
  store: Store;
  endpoint: string;
  /** Base address of the endpoint. */
  url: string;
  /** The next mail to send: one that the endpoint has seen before. */
  rows: () => FeatureRow;
  ratePerSecond: number;
  signal: AbortSignal;
}

const lookEveryMs = 100;
/** No step of the demo's canary may take longer. */
const longestRolloutMs = 10 * 60_000;

/**
 * A corpus of a few thousand mails cannot feed a canary, so while one runs, mails already seen are sent again at a stated
 * rate, marked as background: they count for errors and latency, never for quality. Runs until the signal.
 */
export class RolloutTraffic {
  readonly total: TrafficCounts = { sent: 0, answered: 0, failed: 0, skipped: 0 };
  private readonly options: RolloutTrafficOptions;
  private running: { stop: AbortController; counts: () => TrafficCounts; done: Promise<TrafficCounts> } | undefined;
  private seen: Digest | undefined;
  private isCanary = false;

  constructor(options: RolloutTrafficOptions) {
    this.options = options;
  }

  /** Requests of the rollout that runs now; undefined between rollouts. */
  get current(): TrafficCounts | undefined {
    return this.running?.counts();
  }

  async run(): Promise<void> {
    const { signal } = this.options;
    try {
      while (!signal.aborted) {
        if (await this.canaryRuns()) this.start();
        else await this.stop();
        await delay(lookEveryMs, undefined, { signal }).catch(() => {});
      }
    } finally {
      await this.stop();
    }
  }

  /** The first version of an endpoint takes everything at once and needs no evidence. */
  private async canaryRuns(): Promise<boolean> {
    const { store, endpoint } = this.options;
    const ref = await store.refs.read(refNames.desired(endpoint));
    if (!ref || ref.digest === this.seen) return this.isCanary;
    const { variants } = await getJson(store, DesiredState, ref.digest);
    this.seen = ref.digest;
    this.isCanary = variants.some(({ name, weight }) => name === 'candidate' && weight < 100);
    return this.isCanary;
  }

  private start(): void {
    if (this.running) return;
    const { url, rows, ratePerSecond } = this.options;
    const stop = new AbortController();
    const traffic = startBackgroundTraffic({ url, rows, ratePerSecond, signal: stop.signal, forMs: longestRolloutMs });
    this.running = { stop, ...traffic };
  }

  private async stop(): Promise<void> {
    const { running } = this;
    if (!running) return;
    running.stop.abort();
    const counts = await running.done;
    for (const name of Object.keys(counts) as (keyof TrafficCounts)[]) this.total[name] += counts[name];
    this.running = undefined;
  }
}
