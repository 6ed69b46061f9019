import { failureTypes } from '../contracts/failures.ts';

/** Understood and turned down: not an approver, too late, already decided. */
export class Refused extends Error {
  override readonly name = 'Refused';
  readonly type = failureTypes.refused;
}
