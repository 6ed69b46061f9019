import { type FailureClass, failureClasses } from '../../contracts/failures.ts';
import type { JobStatus, TaskStatus } from '../../contracts/job.ts';
import { tasksText } from '../../contracts/workload-array.ts';
import type { ExitRecord } from '../local/job-folder.ts';

const ends = ['succeeded', 'failed', 'cancelled'] as const;
export const hasEnded = ({ state }: Pick<JobStatus, 'state'>): boolean => (ends as readonly string[]).includes(state);

/** What repairs itself comes last: an array is told by what a person has to look at. */
const byWeight: readonly FailureClass[] = [
  'userError',
  'badData',
  'diverged',
  'lost',
  'stalled',
  'outOfMemory',
  'timeLimit',
  'capacity',
  'infrastructure',
  'preempted',
];

export const tasksByClass = (tasks: readonly TaskStatus[]): Partial<Record<FailureClass, number[]>> =>
  Object.fromEntries(
    failureClasses
      .map((failureClass) => [
        failureClass,
        tasks.filter((one) => one.state === 'failed' && classOf(one) === failureClass).map(({ task }) => task),
      ])
      .filter(([, numbers]) => numbers!.length > 0),
  ) as Partial<Record<FailureClass, number[]>>;

const classOf = ({ failureClass }: JobStatus): FailureClass => failureClass ?? 'infrastructure';

/** How far an array is, by its tasks. Pure. */
export function tally(tasks: readonly TaskStatus[]): JobStatus {
  const counts: NonNullable<JobStatus['tasks']> = {};
  for (const { state } of tasks) counts[state] = (counts[state] ?? 0) + 1;
  const fractions = tasks.map((one) => (hasEnded(one) ? 1 : (one.progress?.fraction ?? 0)));
  const startedAt = tasks.flatMap((one) => one.startedAt ?? []).sort()[0];
  const common: Omit<JobStatus, 'state'> = {
    tasks: counts,
    ...(startedAt !== undefined && { startedAt }),
    progress: {
      fraction: fractions.reduce((a, b) => a + b, 0) / tasks.length,
      at:
        tasks
          .flatMap((one) => one.progress?.at ?? [])
          .sort()
          .at(-1) ?? new Date(0).toISOString(),
      metrics: { tasks: tasks.length, ...Object.fromEntries(ends.map((state) => [state, counts[state] ?? 0])) },
    },
  };
  const open = tasks.filter((one) => !hasEnded(one));
  if (open.length > 0) {
    // Nothing is known of the rest: the watcher's patience decides.
    const state = counts.running ? 'running' : counts.pending ? 'pending' : 'unknown';
    const reason = state === 'running' ? undefined : open.find((one) => one.state === state)?.reason;
    return { ...common, state, ...(reason !== undefined && { reason }) };
  }
  const endedAt = tasks
    .flatMap((one) => one.endedAt ?? [])
    .sort()
    .at(-1);
  return { ...common, ...endOf(tasks), ...(endedAt !== undefined && { endedAt }) };
}

function endOf(tasks: readonly TaskStatus[]): Pick<ExitRecord, 'state' | 'failureClass' | 'reason'> {
  const failed = tasksByClass(tasks);
  const failureClass = byWeight.find((one) => failed[one]);
  const cancelled = tasks.filter(({ state }) => state === 'cancelled');
  // A cancel that came when tasks had failed already: they are what is left to look at, but nobody asks for a retry.
  if (cancelled.length > 0)
    return { state: 'cancelled', reason: `${cancelled.length} of ${tasks.length} tasks were cancelled` };
  if (failureClass === undefined) return { state: 'succeeded' };
  const parts = Object.entries(failed).map(([name, numbers]) => `${name} ${short(tasksText(numbers))}`);
  const first = tasks.find(({ task }) => task === failed[failureClass]![0])!;
  const count = Object.values(failed).reduce((sum, numbers) => sum + numbers.length, 0);
  return {
    state: 'failed',
    failureClass,
    reason:
      `${count} of ${tasks.length} tasks failed: ${parts.join('; ')}. Task ${first.task}: ${first.reason ?? 'no reason is known'}`.slice(
        0,
        1_024,
      ),
  };
}

const short = (text: string): string => (text.length > 80 ? `${text.slice(0, 80)}…` : text);

/** Whose log is shown where none is named: the first that failed, else the first that runs, else the first that ended. */
export const taskToShow = (tasks: readonly TaskStatus[]): number | undefined =>
  (['failed', 'running', 'cancelled', 'succeeded'] as const)
    .map((state) => tasks.find((one) => one.state === state)?.task)
    .find((task) => task !== undefined);
