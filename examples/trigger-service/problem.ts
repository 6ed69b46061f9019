import { InvalidArgument, LoopNotApplied, NoServer, NoWorkers, Refused } from '../../src/client/errors.ts';

/** An answer that is not 202. */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly status: number;
  readonly headers: Record<string, string>;

  constructor(status: number, message: string, headers: Record<string, string> = {}) {
    super(message);
    this.status = status;
    this.headers = headers;
  }
}

/** Nothing is lost while Temporal or the workers are away: the caller asks again, under the same id. */
const retryAfterSeconds = '5';

/** The client's typed errors as HTTP says them. What nobody foresaw is told in the log, not to the caller. */
export function problemOf(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof InvalidArgument) return new Problem(400, error.message);
  if (error instanceof LoopNotApplied) return new Problem(404, error.message);
  if (error instanceof Refused) return new Problem(409, error.message);
  if (error instanceof NoServer || error instanceof NoWorkers)
    return new Problem(503, error.message, { 'retry-after': retryAfterSeconds });
  return new Problem(500, 'internal error');
}
