import { ApplicationFailure } from '@temporalio/common';
import { failureTypes } from '../../contracts/failures.ts';
import { toPassingFailure } from '../failures.ts';

/**
 * How many looks in a row end so before somebody has to repair it. A program that breaks its contract, or cannot be
 * started at all: a file that is read while it is written is right again at the next look. One that ends with an exit
 * code: its database is away, and with the pauses below it has half a minute, or five polls, to come back.
 */
const looksUntilParked: ReadonlyMap<unknown, number> = new Map([
  [failureTypes.badData, 3],
  [failureTypes.invalidInput, 3],
  [failureTypes.dataProgramFailed, 6],
]);
/** After the first look that failed; twice as long after each further one. */
const firstPauseMs = 1_000;

/**
 * The failure of one look for new data. Whoever looks lives for years and looks again, whatever happened, with one
 * exception: a program that was broken, or failed, at several looks in a row needs a person, and its loop parks with the
 * program's words.
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
  const most = failure instanceof ApplicationFailure ? looksUntilParked.get(failure.type) : undefined;
  if (!(failure instanceof ApplicationFailure) || most === undefined) return failure;
  const brokenLooks = brokenLooksOf(before) + 1;
  const { message } = failure;
  const type = failure.type!;
  if (brokenLooks >= most) return ApplicationFailure.nonRetryable(message, type);
  say({ brokenLooks });
  const pauseMs = type === failureTypes.dataProgramFailed ? firstPauseMs * 2 ** (brokenLooks - 1) : 1;
  return ApplicationFailure.create({
    ...{ message, type },
    ...(againInMs !== null && { nextRetryDelay: Math.max(pauseMs, againInMs) }),
  });
}

function brokenLooksOf(details: unknown): number {
  const { brokenLooks } = (details ?? {}) as { brokenLooks?: unknown };
  return typeof brokenLooks === 'number' ? brokenLooks : 0;
}
