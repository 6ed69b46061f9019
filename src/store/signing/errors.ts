import { failureTypes } from '../../contracts/failures.ts';

/** A signature that is missing, or does not vouch for these bytes by a trusted key. The message says which and why. */
export class SignatureRefused extends Error {
  override readonly name = 'SignatureRefused';
  readonly type = failureTypes.signatureRefused;
}

/** A policy, a key or a model that cannot be used for signing; the message names it, never a private key. */
export class InvalidSigning extends Error {
  override readonly name = 'InvalidSigning';
  readonly type = failureTypes.invalidInput;
}
