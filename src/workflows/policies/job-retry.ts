import type { FailureClass } from '../../contracts/failures.ts';
import type { JobResources } from '../../contracts/job.ts';

/** What follows a failed attempt (DESIGN §2, failure classes). */
export type AfterFailure =
  | { kind: 'resume'; delayMs: number; resources: JobResources }
  /** Give up for now: the cycle parks until a person retries, or fails the gate when training diverged. */
  | { kind: 'giveUp' };

export interface FailedAttempt {
  failureClass: FailureClass;
  resources: JobResources;
}

const infrastructureDelaysMs = [1_000, 10_000, 60_000, 300_000, 900_000];
const capacityDelaysMs = [30_000, 120_000, 600_000, 1_800_000];

/**
 * @param failures all failed attempts of this job so far, oldest first; the last one is the one to decide on
 * @param max escalation ends here
 */
export function afterFailure(
  failures: readonly FailedAttempt[],
  max: JobResources,
  retries: Retries = {},
): AfterFailure {
  const last = failures.at(-1)!;
  const allowed = retries[last.failureClass];
  if (allowed === undefined) return byRule(failures, max);
  if (failures.filter((f) => f.failureClass === last.failureClass).length > allowed) return { kind: 'giveUp' };
  const rule = byRule(failures, max);
  // Bigger resources are what would help, and there are none.
  const capped = last.failureClass === 'outOfMemory' || last.failureClass === 'timeLimit';
  return rule.kind === 'resume' || capped || last.failureClass === 'lost'
    ? rule
    : { kind: 'resume', delayMs: 0, resources: last.resources };
}

/** How often a class may be tried again, by the person who wrote the file. */
export type Retries = Partial<Record<FailureClass, number>>;

/**
 * The same for an array, whose tasks may have failed in different ways: which classes are tried again, with resources that
 * are enough for all of them.
 */
export function afterFailedTasks(
  failures: readonly { classes: readonly FailureClass[]; resources: JobResources }[],
  max: JobResources,
  retries: Retries = {},
): { classes: FailureClass[]; delayMs: number; resources: JobResources } {
  const last = failures.at(-1)!;
  let { resources } = last;
  let delayMs = 0;
  const classes: FailureClass[] = [];
  for (const failureClass of last.classes) {
    const ofClass = failures
      .filter((f) => f.classes.includes(failureClass))
      .map((f) => ({ failureClass, resources: f.resources }));
    const next = afterFailure(ofClass, max, retries);
    if (next.kind === 'giveUp') continue;
    classes.push(failureClass);
    delayMs = Math.max(delayMs, next.delayMs);
    resources = {
      ...resources,
      memoryBytes: Math.max(resources.memoryBytes, next.resources.memoryBytes),
      timeLimitMs: Math.max(resources.timeLimitMs, next.resources.timeLimitMs),
    };
  }
  return { classes, delayMs, resources };
}

/** The next partition of a list, after a failure that says nothing against the job itself. */
export const nextPartition = (partitions: readonly string[], now: number, failureClass: FailureClass): number =>
  failureClass === 'preempted' || failureClass === 'capacity' ? Math.min(now + 1, partitions.length - 1) : now;

function byRule(failures: readonly FailedAttempt[], max: JobResources): AfterFailure {
  const last = failures.at(-1)!;
  const inARow = countTrailing(failures, (f) => f.failureClass === last.failureClass);
  switch (last.failureClass) {
    case 'preempted':
    case 'infrastructure':
      return retryWithin(infrastructureDelaysMs, inARow, last.resources);
    case 'capacity':
      return retryWithin(capacityDelaysMs, inARow, last.resources);
    case 'outOfMemory': {
      const memoryBytes = Math.min(last.resources.memoryBytes * 2, max.memoryBytes);
      if (memoryBytes <= last.resources.memoryBytes) return { kind: 'giveUp' };
      return { kind: 'resume', delayMs: 0, resources: { ...last.resources, memoryBytes } };
    }
    case 'timeLimit': {
      const timeLimitMs = Math.min(last.resources.timeLimitMs * 2, max.timeLimitMs);
      if (timeLimitMs <= last.resources.timeLimitMs) return { kind: 'giveUp' };
      return { kind: 'resume', delayMs: 0, resources: { ...last.resources, timeLimitMs } };
    }
    case 'stalled':
      return inARow === 1 ? { kind: 'resume', delayMs: 0, resources: last.resources } : { kind: 'giveUp' };
    // `lost` may still be alive somewhere: never submitted again by itself. The rest needs a person or the gate.
    case 'lost':
    case 'userError':
    case 'badData':
    case 'diverged':
      return { kind: 'giveUp' };
  }
}

export const sameResources = (a: JobResources, b: JobResources): boolean =>
  a.gpus === b.gpus && a.cpus === b.cpus && a.memoryBytes === b.memoryBytes && a.timeLimitMs === b.timeLimitMs;

function retryWithin(delaysMs: readonly number[], inARow: number, resources: JobResources): AfterFailure {
  const delayMs = delaysMs[inARow - 1];
  return delayMs === undefined ? { kind: 'giveUp' } : { kind: 'resume', delayMs, resources };
}

function countTrailing<T>(items: readonly T[], holds: (item: T) => boolean): number {
  let count = 0;
  while (count < items.length && holds(items[items.length - 1 - count]!)) count += 1;
  return count;
}
