import { ApplicationFailure } from '@temporalio/common';
import { failureTypes } from '../../contracts/failures.ts';
import { toPassingFailure } from '../failures.ts';

/** A file that is read while it is written, a program that is being replaced: right again at the next look. */
const looksUntilParked = 3;

/** What a person has to repair: the data program breaks its contract, or cannot be started at all. */
const broken: ReadonlySet<unknown> = new Set([failureTypes.badData, failureTypes.invalidInput]);

/**
 * The failure of one look for new data. Whoever looks lives for years and looks again, whatever happened, with one
 * exception: a program that was broken at three looks in a row is broken, and its loop parks with the program's words.
 *
 * @param before heartbeat details of the attempt before, where broken looks are counted
 * @param againInMs until the next look; null: as retries go
 */
export function afterFailedLook(
  error: unknown,
  before: unknown,
  say: (details: unknown) => void,
  againInMs: number | null,
): unknown {
  const failure = toPassingFailure(error);
  if (!(failure instanceof ApplicationFailure) || !broken.has(failure.type)) return failure;
  const brokenLooks = brokenLooksOf(before) + 1;
  const { message, type } = failure;
  if (brokenLooks >= looksUntilParked) return ApplicationFailure.nonRetryable(message, type);
  say({ brokenLooks });
  return ApplicationFailure.create({
    ...{ message, type: type! },
    ...(againInMs !== null && { nextRetryDelay: Math.max(1, againInMs) }),
  });
}

function brokenLooksOf(details: unknown): number {
  const { brokenLooks } = (details ?? {}) as { brokenLooks?: unknown };
  return typeof brokenLooks === 'number' ? brokenLooks : 0;
}
