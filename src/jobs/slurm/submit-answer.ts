import type { JobSpec } from '../../contracts/job.ts';
import { ClusterUnavailable, SubmitRejected, SubmitUnclear } from './errors.ts';

/** Texts of slurm_strerror (slurm_errno.c), the same from sbatch and from slurmrestd; newer versions change little. */
const rejected = [
  /invalid partition/i,
  /invalid job array/i,
  /invalid account/i,
  /invalid qos/i,
  /invalid (?:feature|generic resource|gres)/i,
  /invalid (?:job )?reservation|requested reservation is invalid/i,
  /invalid (?:trackable resource|license)/i,
  /node configuration is not available/i,
  /node count specification invalid/i,
  /more processors requested than permitted/i,
  /requested (?:nodes|partition configuration)/i,
  /time limit (?:is invalid|specification required)|invalid time limit/i,
  /memory required by task is not available|memory specification can not be satisfied/i,
  /not permitted to use this partition|group not permitted|not in (?:the )?partition/i,
  /access\/permission denied|permission denied/i,
  /job violates accounting\/qos policy/i,
  /invalid user id|user (?:not|does not) exist/i,
  /batch script is empty|does not start with|does not have a shebang|DOS line breaks/i,
  /unrecognized option|invalid option|Invalid --|unable to open file/i,
];
/** No connection was made, so nothing was sent. */
const notSent = /connect(?:ion)? (?:failure|refused)/i;
/** A limit on how many jobs may be in the queue passes by itself. */
const busy = [
  /MaxSubmit/i,
  /MaxJobs.*Limit/i,
  /temporarily unable to accept job/i,
  /rate limit|too many (?:requests|connections)/i,
  /slurmctld is (?:starting|shutting)|in standby mode/i,
];

/** Which error a failed submit is. What is not surely refused may be in the queue. Pure. */
export function submitFailure(text: string): ClusterUnavailable | SubmitRejected | SubmitUnclear {
  const said = oneLine(text);
  if (notSent.test(said)) return new ClusterUnavailable(said);
  if (/timed out|timeout/i.test(said)) return new SubmitUnclear(said);
  if (busy.some((pattern) => pattern.test(said))) return new ClusterUnavailable(said);
  if (rejected.some((pattern) => pattern.test(said))) return new SubmitRejected(said);
  return new SubmitUnclear(said === '' ? 'no answer' : said);
}

/** What a person reads of a job that Slurm refused: its own words, and what to change where they do not say it. Pure. */
export function refusal(said: string, { array }: JobSpec): string {
  const change =
    array && /invalid job array/i.test(said)
      ? `. Its tasks are ${array.tasks}, and task numbers stay below the cluster's MaxArraySize (scontrol show config): split the array into several jobs, or have it raised in slurm.conf. With maxArraySize in the target, goto3 workload plan tells it before`
      : '';
  return `Slurm does not take the job: ${said}${change}`;
}

/** `123` or `123;cluster`, which sbatch prints also when something went wrong after the submit. */
export function parsableId(stdout: string): string | undefined {
  return /^(\d+)(?:;[\w.-]+)?$/m.exec(stdout.trim())?.[1];
}

export const oneLine = (text: string): string => text.replaceAll(/\s+/g, ' ').trim().slice(0, 1_000);
