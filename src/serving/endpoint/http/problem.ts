import { type ServingError, servingErrors } from '../../errors.ts';

/** A request that is answered with an error; the message is for the caller and names what was expected. */
export class HttpProblem extends Error {
  override readonly name = 'HttpProblem';
  readonly status: number;
  readonly type: string;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, type: string, message: string, headers: Record<string, string> = {}) {
    super(message);
    this.status = status;
    this.type = type;
    this.headers = headers;
  }
}

type Headers = Record<string, string>;

export const invalid = (message: string, headers: Headers = {}): HttpProblem =>
  new HttpProblem(400, 'InvalidInput', message, headers);

/** 503 tells clients and load balancers that the same request may succeed elsewhere or soon. */
export const tryLater = (type: string, message: string, headers: Headers = {}): HttpProblem =>
  new HttpProblem(503, type, message, { 'retry-after': '1', ...headers });

/** Only what the caller can act on: a model's own error text may hold paths and input. */
export function problemOf({ type, message, retryAfterMs }: ServingError, headers: Headers): HttpProblem {
  switch (type) {
    case servingErrors.invalidInput:
      return invalid(message, headers);
    case servingErrors.overloaded:
      return tryLater(type, 'too many requests wait, try again later', headers);
    case servingErrors.inferenceCrashed:
      return tryLater(type, 'the inference process is being restarted, try again', {
        ...headers,
        ...(retryAfterMs !== undefined && { 'retry-after': String(Math.max(1, Math.ceil(retryAfterMs / 1_000))) }),
      });
    case servingErrors.deadlineExceeded:
      return new HttpProblem(504, type, 'no answer within the time limit', headers);
    case servingErrors.cancelled:
      // Nobody reads it; the number is the one that nginx logs for a caller who left.
      return new HttpProblem(499, type, message, headers);
    default:
      return new HttpProblem(500, type, 'the model failed on this request', headers);
  }
}
