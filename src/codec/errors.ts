import { ApplicationFailure } from '@temporalio/common';
import { failureTypes } from '../contracts/failures.ts';

// The SDK decodes outside of workflows and activities, where nobody maps errors: these are failures of Temporal from the
// start, so that their type is in the history.

/** An encoded payload came, and its key is not here. Nothing is lost: a process that has the key reads it. */
export class CodecKeyMissing extends ApplicationFailure {
  override readonly name = 'CodecKeyMissing';
  readonly keyId: string;

  constructor(keyId: string, known: readonly string[]) {
    const here = known.length === 0 ? 'no key is configured here' : `here are ${known.join(', ')}`;
    super(
      `the payload is encoded with the key ${JSON.stringify(keyId)}, and ${here}: add it to GOTO3_CODEC_KEYS`,
      failureTypes.codecKeyMissing,
    );
    this.keyId = keyId;
  }
}

/** Bytes that the key does not vouch for: changed, cut off, made for another namespace, or under another key of this name. */
export class PayloadRefused extends ApplicationFailure {
  override readonly name = 'PayloadRefused';

  constructor(message: string) {
    super(message, failureTypes.payloadRefused);
  }
}

/** A key, its name, or the list of them that cannot be used; the message names the secret, never its value. */
export class InvalidCodecKey extends Error {
  override readonly name = 'InvalidCodecKey';
  readonly type = failureTypes.invalidInput;
}
