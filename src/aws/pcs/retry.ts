import { kindOfAwsError } from '../errors.ts';
import { ThrottlingException } from './service-errors.ts';

/** Doubling from here, up to 20 s, of which a random part is waited: the SDKs' "standard" mode. */
const firstMs = { unavailable: 100, throttled: 500 };
const longestMs = 20_000;

/**
 * How long to wait before the next attempt; undefined: there is none. Throttles, 5xx and broken connections are worth one.
 * Every operation of ours may be sent twice: those that make or change something carry a client token. A wait that PCS asks
 * for and that is longer than ours is the caller's, who need not hold a worker for it. Pure.
 * @param attempt that has failed, from 1
 * @param random 0 to 1
 */
export function pauseBeforeRetry(
  error: unknown,
  attempt: number,
  { maxAttempts, random }: { maxAttempts: number; random: number },
): number | undefined {
  const kind = kindOfAwsError(error);
  if (attempt >= maxAttempts || (kind !== 'throttled' && kind !== 'unavailable')) return undefined;
  const ownMs = random * Math.min(longestMs, firstMs[kind] * 2 ** (attempt - 1));
  const askedMs = error instanceof ThrottlingException ? (error.retryAfterSeconds ?? 0) * 1_000 : 0;
  return askedMs > longestMs ? undefined : Math.max(ownMs, askedMs);
}
