import { ApplicationFailure, ApplicationFailureCategory } from '@temporalio/common';
import { failureTypes } from '../contracts/failures.ts';

/** Types that no retry repairs. Everything else is retried as its group in `workflows/proxies` says. */
const permanent: ReadonlySet<string> = new Set([
  failureTypes.invalidInput,
  failureTypes.notFound,
  failureTypes.refConflict,
  failureTypes.jobConflict,
  failureTypes.badData,
  failureTypes.corruptBlob,
  failureTypes.loopNotApplied,
  failureTypes.refused,
]);

/** Errors of the rooms below carry a `type`; here, and only here, they become Temporal's failures. */
export function toFailure(error: unknown): unknown {
  if (error instanceof ApplicationFailure || !(error instanceof Error)) return error;
  const type = 'type' in error && typeof error.type === 'string' ? error.type : undefined;
  if (type === undefined) return error;
  return ApplicationFailure.create({ message: error.message, type, nonRetryable: permanent.has(type), cause: error });
}

/** "Not yet" is no failure: it is retried after a while, costs no history, and no alarm counts it. */
export const notYet = (message: string, againInMs: number): ApplicationFailure =>
  ApplicationFailure.create({
    message,
    type: failureTypes.notYet,
    nextRetryDelay: Math.max(1, againInMs),
    category: ApplicationFailureCategory.BENIGN,
  });

export const badData = (message: string): ApplicationFailure =>
  ApplicationFailure.nonRetryable(message, failureTypes.badData);
