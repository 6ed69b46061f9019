import { failureTypes } from '../contracts/failures.ts';

/** The hub does not answer, refuses for now, or sent other bytes than it promised. Nothing is half done: ask again. */
export class HubUnavailable extends Error {
  override readonly name = 'HubUnavailable';
  readonly type = failureTypes.hubUnavailable;
}
