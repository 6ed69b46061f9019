import { UnitError } from './units.ts';

/** Tasks of one array; Slurm's own default (MaxArraySize) is 1,001. */
export const maxArrayTasks = 10_000;
/** Highest task number that Slurm can be set up for (slurm.conf, MaxArraySize 4,000,001). */
const maxTaskNumber = 4_000_000;

/** `0-63`, `1,3,5-9:2`: numbers, ranges, ranges with a step. */
export const tasksPattern = /^\d{1,7}(?:-\d{1,7}(?::\d{1,7})?)?(?:,\d{1,7}(?:-\d{1,7}(?::\d{1,7})?)?)*$/;

/** Task numbers of `0-63` or `1,3,5-9:2`, sorted, each once. Throws `UnitError`. */
export function taskNumbers(text: string): number[] {
  const refuse = (what: string): UnitError => new UnitError(`${what}, got ${JSON.stringify(text.slice(0, 80))}`);
  if (!/^[\d,:-]+$/.test(text)) throw refuse('expected task numbers such as "0-63" or "1,3,5-9:2"');
  const tasks = new Set<number>();
  for (const part of text.split(',')) {
    const [, first, last, step] = /^(\d{1,10})(?:-(\d{1,10})(?::(\d{1,10}))?)?$/.exec(part) ?? [];
    if (first === undefined) throw refuse('expected task numbers such as "0-63" or "1,3,5-9:2"');
    const [from, to, by] = [Number(first), Number(last ?? first), Number(step ?? 1)];
    if (to > maxTaskNumber) throw refuse(`expected task numbers up to ${maxTaskNumber}`);
    if (to < from) throw refuse('expected a range whose end is not below its start');
    if (by === 0) throw refuse('expected a step above zero');
    if (tasks.size + Math.floor((to - from) / by) + 1 > maxArrayTasks)
      throw refuse(`expected at most ${maxArrayTasks} tasks`);
    for (let task = from; task <= to; task += by) tasks.add(task);
  }
  return [...tasks].sort((a, b) => a - b);
}

/** The shortest usual text of task numbers: `0-3,7,9-11`. Pure; the inverse of `taskNumbers`. */
export function tasksText(tasks: readonly number[]): string {
  const parts: string[] = [];
  for (let i = 0; i < tasks.length; ) {
    let end = i;
    while (end + 1 < tasks.length && tasks[end + 1] === tasks[end]! + 1) end += 1;
    parts.push(end === i ? String(tasks[i]) : `${tasks[i]}-${tasks[end]}`);
    i = end + 1;
  }
  return parts.join(',');
}

/**
 * Why a cluster has no room for an array: its task numbers stay below MaxArraySize (slurm.conf(5)). Undefined: it has. Pure.
 * @param maxArraySize undefined: not known, and only the cluster can tell
 */
export function arrayTooLarge(tasks: string, maxArraySize: number | undefined): string | undefined {
  const highest = Math.max(...taskNumbers(tasks));
  return maxArraySize === undefined || highest < maxArraySize
    ? undefined
    : `task ${highest} is not below the cluster's MaxArraySize, which is ${maxArraySize}: split the array into several jobs, let each task do more, or have MaxArraySize raised in slurm.conf`;
}

export interface ArrayRange {
  /** As `tasksText` writes them. */
  tasks: string;
  /** So many run at the same time at most. */
  atOnce: number;
}

/** `0-63%16` → tasks 0 to 63, 16 at once; without `%` all at once. Throws `UnitError`. */
export function parseArray(text: string): ArrayRange {
  const [range, cap, ...rest] = text.split('%');
  const tasks = taskNumbers(range ?? '');
  if (rest.length > 0 || (cap !== undefined && !/^[1-9]\d{0,6}$/.test(cap)))
    throw new UnitError(`expected a number above zero after "%", got ${JSON.stringify(text.slice(0, 80))}`);
  return { tasks: tasksText(tasks), atOnce: Math.min(tasks.length, cap === undefined ? tasks.length : Number(cap)) };
}
