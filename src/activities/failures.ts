import { CancelledFailure } from '@temporalio/activity';
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
  failureTypes.signatureRefused,
  failureTypes.awsRefused,
]);

/** Errors of the rooms below carry a `type`; here, and only here, they become Temporal's failures. */
export function toFailure(error: unknown): unknown {
  if (error instanceof ApplicationFailure || !(error instanceof Error)) return error;
  const type = typeOf(error);
  return type === undefined ? error : failureOf(error, type, permanent.has(type));
}

/**
 * For questions that are asked again and again: what no retry repairs a person may, so that the asker, a loop that lives
 * for years, must not end over it. A cancellation stays one.
 */
export function toPassingFailure(error: unknown): unknown {
  if (error instanceof CancelledFailure || !(error instanceof Error)) return error;
  if (error instanceof ApplicationFailure && !error.nonRetryable) return error;
  return failureOf(error, typeOf(error) ?? error.name, false);
}

/** A typed error says all in its message, so it is no cause of itself; its stack stays for the developer. */
function failureOf(error: Error, type: string, nonRetryable: boolean): ApplicationFailure {
  const failure = ApplicationFailure.create({ message: error.message, type, nonRetryable });
  if (error.stack !== undefined) failure.stack = error.stack;
  return failure;
}

const typeOf = (error: Error): string | undefined =>
  'type' in error && typeof error.type === 'string' ? error.type : undefined;

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

export const dataProgramFailed = (message: string): ApplicationFailure =>
  ApplicationFailure.retryable(message, failureTypes.dataProgramFailed);

export const invalidInput = (message: string): ApplicationFailure =>
  ApplicationFailure.nonRetryable(message, failureTypes.invalidInput);
