import { failureTypes } from '../contracts/failures.ts';

/**
 * What can go wrong between a row and its answer. `type` crosses process boundaries and is what the HTTP front, the
 * captured evidence and an activity's `ApplicationFailure` carry; callers switch on it, never on the message.
 */
export const servingErrors = {
  /** The caller's rows do not fit the model: a missing feature, a wrong type. */
  invalidInput: failureTypes.invalidInput,
  /** The model folder cannot be served: broken graph, or graph and signature disagree. */
  modelNotServable: 'ModelNotServable',
  /** The graph failed on rows that it should answer, or answered NaN. */
  predictionFailed: 'PredictionFailed',
  /** The process that holds the model died or hung; a retry may help. */
  inferenceCrashed: 'InferenceCrashed',
  /** More requests wait than the queue takes. */
  overloaded: 'Overloaded',
  deadlineExceeded: 'DeadlineExceeded',
  /** The caller left before its answer. */
  cancelled: 'Cancelled',
} as const;
export type ServingErrorType = (typeof servingErrors)[keyof typeof servingErrors];

export class ServingError extends Error {
  override readonly name = 'ServingError';
  readonly type: ServingErrorType;
  /** Asking again before so long is in vain. */
  readonly retryAfterMs: number | undefined;

  constructor(type: ServingErrorType, message: string, options?: ErrorOptions & { retryAfterMs?: number }) {
    super(message, options);
    this.type = type;
    this.retryAfterMs = options?.retryAfterMs;
  }
}

/** An error as it travels between processes. */
export interface ErrorMessage {
  type: ServingErrorType;
  message: string;
}

/** Anything thrown in a predictor → what may be sent on; an unknown error is a failed prediction. */
export function toErrorMessage(error: unknown): ErrorMessage {
  const message = error instanceof Error ? error.message : String(error);
  const type = error instanceof Error && 'type' in error ? error.type : undefined;
  const known = Object.values(servingErrors).find((candidate) => candidate === type);
  return { type: known ?? servingErrors.predictionFailed, message };
}

export const fromErrorMessage = ({ type, message }: ErrorMessage): ServingError => new ServingError(type, message);
