import type { ProcessIdentity } from './process-identity.mjs';

export interface LockHolder extends ProcessIdentity {
  /** ISO time at which the lock was taken. */
  readonly at: string;
}

export type LockAttempt =
  | { readonly acquired: true /** Gives the lock back; once is enough. */; release(): void }
  | { readonly acquired: false; readonly holder: LockHolder };

/**
 * Takes the lock `name` in `folder`, which is created. A lock whose holder has died, by `kill -9` or with the machine, is
 * free. The same process asking again is refused too. Processes must share one kernel and one pid namespace.
 */
export function tryLock(folder: string, name: string): LockAttempt;

/** The living holder, if any. */
export function lockHolder(folder: string, name: string): LockHolder | undefined;
