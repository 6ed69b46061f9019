import { type LockHolder, lockHolder, tryLock } from './exclusive-lock.mjs';
import { createStateFolders, type StateLayout } from './layout.ts';

const lockName = 'up';

/** Another process supervises this state folder. */
export class StackLocked extends Error {
  override readonly name = 'StackLocked';
  readonly holder: LockHolder;
  constructor(home: string, holder: LockHolder) {
    super(
      `process ${holder.pid} runs the stack in ${home} since ${holder.at}; ` +
        '`goto3 status` shows it, `goto3 down` stops it',
    );
    this.holder = holder;
  }
}

/** The right to start and stop processes of one state folder. */
export interface StackLock {
  readonly layout: StateLayout;
  release(): void;
}

/** @throws StackLocked; a lock whose holder has died is free */
export function lockStack(layout: StateLayout): StackLock {
  createStateFolders(layout);
  const attempt = tryLock(layout.run, lockName);
  if (!attempt.acquired) throw new StackLocked(layout.home, attempt.holder);
  return { layout, release: attempt.release };
}

/** The living `up` of a state folder, if there is one. */
export function stackHolder(layout: StateLayout): LockHolder | undefined {
  createStateFolders(layout);
  return lockHolder(layout.run, lockName);
}
