import { failureTypes } from '../contracts/failures.ts';

/** The spec cannot be run anywhere; the message names the field. */
export class InvalidJob extends Error {
  override readonly name = 'InvalidJob';
  readonly type = failureTypes.invalidInput;
}

/** The name belongs to a job with another spec. */
export class JobConflict extends Error {
  override readonly name = 'JobConflict';
  readonly type = failureTypes.jobConflict;
}

export class JobNotFound extends Error {
  override readonly name = 'JobNotFound';
  readonly type = failureTypes.notFound;
}

/** The job could not be started this time and nothing runs; submitting again is safe and may succeed. */
export class JobNotStarted extends Error {
  override readonly name = 'JobNotStarted';
}
