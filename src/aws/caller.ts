import { setTimeout as sleep } from 'node:timers/promises';
import type { RenewableCredentials } from './credentials.ts';
import { AwsRefused, AwsUnavailable, adviceOn, kindOfAwsError } from './errors.ts';
import type { TokenBuckets } from './token-bucket.ts';

export interface AwsCallerOptions {
  /** 12 digits; with the region it says whose limits a call counts against. */
  account: string;
  region: string;
  role?: string;
  callsPerSecond: number;
  buckets: TokenBuckets;
  credentials: Pick<RenewableCredentials, 'renew'>;
  /** Throttles and outages are waited out so long within a call; then the caller's own, durable patience has its turn. */
  patienceMs?: number;
  log?: (event: string, fields: Record<string, string | number>) => void;
}

const defaultPatienceMs = 60_000;
const firstPauseMs = 250;
const longestPauseMs = 10_000;

/**
 * One way to call AWS: through the bucket of the action, credentials renewed once when they have expired, throttles and
 * outages waited out with jitter. What is left is the SDK's own error for `notFound`, `inUse`, `quota` and `conflict`, and
 * `AwsUnavailable` or `AwsRefused`, which says what to change, for the rest. Clients must be built with `maxAttempts: 1`:
 * a retry that the bucket does not see is a throttle more.
 */
export class AwsCaller {
  readonly #options: AwsCallerOptions;

  constructor(options: AwsCallerOptions) {
    this.#options = options;
  }

  /** @param action as IAM spells it: `sagemaker:DescribeTrainingJob` */
  async call<T>(action: string, send: () => Promise<T>): Promise<T> {
    const {
      account,
      region,
      callsPerSecond,
      buckets,
      credentials,
      patienceMs = defaultPatienceMs,
      log,
    } = this.#options;
    const bucket = buckets.of(account, region, action, callsPerSecond);
    const startedMs = performance.now();
    let renewed = false;
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(longestPauseMs, pauseMs * 2)) {
      await bucket.take();
      try {
        const answer = await send();
        bucket.succeeded();
        return answer;
      } catch (error) {
        const kind = kindOfAwsError(error);
        if (kind === 'notFound' || kind === 'inUse' || kind === 'quota' || kind === 'conflict') throw error;
        if (kind === 'refused' || (kind === 'expired' && renewed)) throw new AwsRefused(this.advice(error, action));
        log?.(`aws.${kind}`, { action, region, error: (error as Error).name });
        if (kind === 'expired') {
          renewed = true;
          credentials.renew();
          continue;
        }
        if (kind === 'throttled') bucket.throttled();
        const jitteredMs = pauseMs * (0.5 + Math.random());
        if (performance.now() + jitteredMs - startedMs > patienceMs)
          throw new AwsUnavailable(this.advice(error, action));
        await sleep(jitteredMs);
      }
    }
  }

  advice(error: unknown, action: string): string {
    const { region, role } = this.#options;
    return adviceOn(error, { action, region, ...(role !== undefined && { role }) });
  }
}
