import { setTimeout as sleep } from 'node:timers/promises';

export interface Clock {
  nowMs(): number;
  sleep(ms: number): Promise<void>;
}
const realClock: Clock = { nowMs: () => performance.now(), sleep: async (ms) => void (await sleep(ms)) };

/** A throttle halves the rate; each success gives a tenth of the full rate back. */
const afterThrottle = 0.5;
const afterSuccess = 0.1;
const slowest = 0.05;

/**
 * Lets so many calls a second through, in the order in which they were asked for, with a burst of one second. It slows down
 * when AWS throttles, as the SDKs' adaptive mode does, but for all callers together.
 */
export class TokenBucket {
  readonly #fullRate: number;
  readonly #clock: Clock;
  #rate: number;
  #tokens: number;
  #filledMs: number;
  #last: Promise<void> = Promise.resolve();

  constructor(callsPerSecond: number, clock: Clock = realClock) {
    this.#fullRate = callsPerSecond;
    this.#rate = callsPerSecond;
    this.#tokens = Math.max(1, callsPerSecond);
    this.#clock = clock;
    this.#filledMs = clock.nowMs();
  }

  /** Calls a second that it lets through now. */
  get rate(): number {
    return this.#rate;
  }

  /** Returns when it is this caller's turn. */
  take(): Promise<void> {
    this.#last = this.#last.then(() => this.#takeOne());
    return this.#last;
  }

  throttled(): void {
    this.#fill();
    this.#tokens = 0;
    this.#rate = Math.max(this.#fullRate * slowest, this.#rate * afterThrottle);
  }

  succeeded(): void {
    this.#fill();
    this.#rate = Math.min(this.#fullRate, this.#rate + this.#fullRate * afterSuccess);
  }

  async #takeOne(): Promise<void> {
    for (this.#fill(); this.#tokens < 1; this.#fill())
      await this.#clock.sleep(Math.ceil(((1 - this.#tokens) / this.#rate) * 1_000));
    this.#tokens -= 1;
  }

  #fill(): void {
    const now = this.#clock.nowMs();
    const gained = ((now - this.#filledMs) / 1_000) * this.#rate;
    this.#tokens = Math.min(Math.max(1, this.#rate), this.#tokens + gained);
    this.#filledMs = now;
  }
}

/** One bucket for each action of each account and region, whoever in this process calls. */
export class TokenBuckets {
  readonly #buckets = new Map<string, TokenBucket>();

  of(account: string, region: string, action: string, callsPerSecond: number): TokenBucket {
    const key = `${account} ${region} ${action}`;
    const bucket = this.#buckets.get(key) ?? new TokenBucket(callsPerSecond);
    this.#buckets.set(key, bucket);
    return bucket;
  }
}
