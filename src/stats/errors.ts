import { failureTypes } from '../contracts/failures.ts';

/** Numbers that no statistic can be computed from; the message names the field and what was expected. */
export class StatsInputError extends Error {
  override readonly name = 'StatsInputError';
  readonly type = failureTypes.invalidInput;
}
