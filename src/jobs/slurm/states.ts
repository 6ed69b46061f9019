import type { FailureClass } from '../../contracts/failures.ts';

/**
 * `waiting` and `running` are alive; `mayReturn` is over for now, and Slurm may start it again; `unclear`: a word we do not
 * know, from which nothing follows.
 */
export type Phase = 'waiting' | 'running' | 'mayReturn' | 'ended' | 'unclear';

/** squeue(1), JOB STATE CODES. A flag hides or accompanies the base state, so flags are looked at first. */
const phases: Readonly<Record<string, Phase>> = {
  REQUEUED: 'waiting',
  REQUEUE_FED: 'waiting',
  REQUEUE_HOLD: 'waiting',
  SPECIAL_EXIT: 'waiting',
  RESV_DEL_HOLD: 'waiting',
  CONFIGURING: 'waiting',
  POWER_UP_NODE: 'waiting',
  PENDING: 'waiting',
  COMPLETING: 'running',
  RESIZING: 'running',
  SIGNALING: 'running',
  STAGE_OUT: 'running',
  STOPPED: 'running',
  SUSPENDED: 'running',
  RUNNING: 'running',
  NODE_FAIL: 'mayReturn',
  PREEMPTED: 'mayReturn',
  BOOT_FAIL: 'mayReturn',
  COMPLETED: 'ended',
  FAILED: 'ended',
  CANCELLED: 'ended',
  TIMEOUT: 'ended',
  OUT_OF_MEMORY: 'ended',
  DEADLINE: 'ended',
  REVOKED: 'ended',
};
const order: readonly Phase[] = ['waiting', 'running', 'mayReturn', 'ended'];

export function phaseOf(states: readonly string[]): Phase {
  const seen = states.map((word) => phases[word] ?? 'unclear');
  return order.find((phase) => seen.includes(phase)) ?? 'unclear';
}

/** What Slurm's last word means for a job that could not record its own end. */
export function verdictOf(states: readonly string[]): 'cancelled' | FailureClass {
  const has = (word: string): boolean => states.includes(word);
  if (has('CANCELLED')) return 'cancelled';
  if (has('OUT_OF_MEMORY')) return 'outOfMemory';
  if (has('TIMEOUT') || has('DEADLINE')) return 'timeLimit';
  if (has('PREEMPTED')) return 'preempted';
  return 'infrastructure';
}
