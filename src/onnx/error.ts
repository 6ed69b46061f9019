import { failureTypes } from '../contracts/failures.ts';

/** A model, or a request about one, that no retry can repair; the message names the place in the model. */
export class OnnxError extends Error {
  override readonly name = 'OnnxError';
  readonly type = failureTypes.invalidInput;
}
