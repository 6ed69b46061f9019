import { createHash } from 'node:crypto';
import type { JobSpec } from '../../contracts/job.ts';
import type { SlurmTarget } from '../../contracts/slurm-target.ts';
import { arrayTooLarge } from '../../contracts/workload-array.ts';
import { InvalidJob } from '../errors.ts';
import type { JobFolder } from '../local/job-folder.ts';
import type { Directives } from './transport.ts';

/** Node.js as the wrapper needs so much beside the program. */
const wrapperMiB = 128;
const mebibyte = 2 ** 20;

/**
 * The name under which Slurm knows a job: the same for the same job of the same folder, and for no other. 160 bits, letters
 * and digits alone, so it is the same text in squeue, sacct and every API version.
 */
export const slurmJobName = (folder: string, jobName: string): string =>
  `goto3-${createHash('sha256').update(`${folder}\0${jobName}`).digest('hex').slice(0, 40)}`;

/** What Slurm is told about a job. Throws `InvalidJob` naming the value that no directive may carry. Pure. */
export function directivesOf(
  spec: JobSpec,
  target: SlurmTarget,
  folder: JobFolder,
  limits: { graceMs: number },
): Directives {
  const { cpus, gpus, memoryBytes, timeLimitMs } = spec.resources;
  const { batch, array } = spec;
  const partition = batch?.partition ?? target.partition;
  const account = batch?.account ?? target.account;
  const qos = batch?.qos ?? target.qos;
  const reservation = batch?.reservation ?? target.reservation;
  const constraint = joined(target.constraint, batch?.constraint, spec.name);
  const directives: Directives = {
    name: slurmJobName(target.folder, spec.name),
    comment: spec.name,
    ...(partition !== undefined && { partition }),
    ...(account !== undefined && { account }),
    ...(qos !== undefined && { qos }),
    ...(reservation !== undefined && { reservation }),
    ...(constraint !== undefined && { constraint }),
    ...(batch?.exclusive && { exclusive: true as const }),
    nodes: batch?.nodes ?? 1,
    tasks: batch?.tasks ?? 1,
    ...(batch?.tasksPerNode !== undefined && { tasksPerNode: batch.tasksPerNode }),
    cpusPerTask: cpus,
    memoryPerNodeMiB: Math.ceil(memoryBytes / mebibyte) + wrapperMiB,
    gpusPerNode: gpus,
    // The wrapper ends the program at its limit, with time to save; Slurm's own limit is the net below.
    timeMinutes: Math.ceil((timeLimitMs + limits.graceMs) / 60_000) + 1,
    requeue: target.requeue,
    output: folder.wrapperLog,
    workingDirectory: folder.path,
  };
  for (const [field, value] of Object.entries(directives)) checkValue(field, value as string | number | boolean);
  if (!array) return directives;
  const tooLarge = arrayTooLarge(array.tasks, target.maxArraySize);
  if (tooLarge !== undefined) throw new InvalidJob(`job ${spec.name}, array: ${tooLarge}`);
  return {
    ...directives,
    array: `${checkedArray(array.tasks)}%${array.atOnce}`,
    // Slurm puts the task's number in the place of its pattern; no other text of ours may have one.
    output: folder.wrapperLog.replace(/\.log$/, '-%a.log'),
  };
}

/** Digits, ranges, steps. */
function checkedArray(tasks: string): string {
  if (!/^[\d,:-]{1,65536}$/.test(tasks))
    throw new InvalidJob('Slurm directive array: expected task numbers and ranges');
  return tasks;
}

/** Both must hold; an alternative beside another feature has no one reading in Slurm. */
function joined(mine: string | undefined, asked: string | undefined, job: string): string | undefined {
  if (mine === undefined || asked === undefined) return mine ?? asked;
  if (`${mine}${asked}`.includes('|'))
    throw new InvalidJob(`job ${job}, constraint: ${asked} and the target's ${mine} cannot both be asked for`);
  return `${mine}&${asked}`;
}

/** The last gate before Slurm: printable, without blank, quote, backslash, `%` and `$`, whatever came before. */
function checkValue(field: string, value: string | number | boolean): void {
  if (typeof value === 'boolean') return;
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value) || value < 0 || value > 2 ** 31 - 1)
      throw new InvalidJob(`Slurm directive ${field}: expected a whole number below 2^31, got ${value}`);
    return;
  }
  if (!/^[A-Za-z0-9._/@+=&|-]{1,1024}$/.test(value))
    throw new InvalidJob(`Slurm directive ${field}: ${JSON.stringify(value.slice(0, 80))} holds a forbidden character`);
}
