import type { Digest } from '../contracts/digest.ts';
import { failureTypes } from '../contracts/failures.ts';
import type { Ref } from './types.ts';

/** Input that no retry can repair: a bad name, digest, path or document. The message names the field. */
export class InvalidInput extends Error {
  override readonly name = 'InvalidInput';
  readonly type = failureTypes.invalidInput;
}

export class NotFound extends Error {
  override readonly name = 'NotFound';
  readonly type = failureTypes.notFound;
  readonly digest: Digest;

  constructor(digest: Digest) {
    super(`the store has no blob ${digest}`);
    this.digest = digest;
  }
}

/** Bytes that are not what their name says: the medium or somebody's hand changed them. */
export class CorruptBlob extends Error {
  override readonly name = 'CorruptBlob';
  readonly type = failureTypes.corruptBlob;
  readonly digest: Digest;
  readonly found: Digest;

  constructor(digest: Digest, found: Digest) {
    super(`blob ${digest} is corrupt: its bytes hash to ${found}`);
    this.digest = digest;
    this.found = found;
  }
}

/** An entry of a ref's log, or a capture segment, that is unreadable or missing between its neighbours. */
export class CorruptLog extends Error {
  override readonly name = 'CorruptLog';
  readonly type = failureTypes.corruptBlob;
  /** `ref loops/spam/spec entry 3`, `captures mail/r1 segment 12`. */
  readonly where: string;

  constructor(where: string, detail: string) {
    super(`${where} is corrupt: ${detail}`);
    this.where = where;
  }
}

/** A compare-and-set lost. `found` is the entry that stands where ours should be, or undefined when there is none. */
export class RefConflict extends Error {
  override readonly name = 'RefConflict';
  readonly type = failureTypes.refConflict;
  readonly ref: string;
  readonly found: Ref | undefined;

  constructor(ref: string, detail: string, found: Ref | undefined) {
    const who = found
      ? `: entry ${found.entry} is ${found.digest}, written by ${found.by} at ${found.time} for ${found.operation} (${found.reason})`
      : '';
    super(`ref ${ref}: ${detail}${who}`);
    this.ref = ref;
    this.found = found;
  }
}

/**
 * Disk full, quota, out of handles, I/O error; a server that is away or refuses. Nothing is half done; the same call may
 * be retried. `advice` is what a person must change, where time alone does not help.
 */
export class StoreUnavailable extends Error {
  override readonly name = 'StoreUnavailable';
  readonly type = failureTypes.storeUnavailable;
  readonly code: string;

  constructor(code: string, operation: string, path: string, cause: unknown, advice?: string) {
    super(`the store cannot ${operation} ${path}: ${code}${advice ? `; ${advice}` : ''}`, { cause });
    this.code = code;
  }
}
