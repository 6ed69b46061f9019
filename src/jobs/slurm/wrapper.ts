import { hostname } from 'node:os';
import { machineName } from '../../contracts/names.ts';
import { duplicateStatus, type Launch } from '../local/launch.ts';
import { runWrappedJob, type WrappedEnd } from '../local/wrapped-job.ts';
import { launchVariable } from './batch-script.ts';
import { hostsOf } from './host-list.ts';

/**
 * The wrapper on a compute node: the batch script of a Slurm job imports this bundle. Its launch comes in the job's
 * environment, which Slurm keeps for the case of a requeue; who it is, Slurm says.
 */
const {
  [launchVariable]: text,
  SLURM_JOB_ID: jobId,
  SLURM_ARRAY_JOB_ID: array,
  SLURM_ARRAY_TASK_ID: task,
  SLURM_JOB_NODELIST: nodes = '',
  SLURM_RESTART_COUNT: restarts = '0',
} = process.env;
/** A task keeps its number and its array's id, whatever id of its own Slurm gives it. */
const id = array !== undefined && task !== undefined ? `${array}_${task}` : jobId;
if (text === undefined || id === undefined) throw new Error('this program is started by Slurm alone');

const hosts = hostsOf(nodes);
const launch: Launch = {
  ...(JSON.parse(text) as Launch),
  host: machineName(hostname()),
  ...(task !== undefined && { task: Number(task) }),
  ...(hosts.length > 1 && { hosts }),
  batchJob: { id, restarts: Number(restarts) },
};
/** What squeue and sacct show; the job's result is in its folder. 143: as a program that SIGTERM ended. */
const exitCodes: Readonly<Record<WrappedEnd, number>> = {
  succeeded: 0,
  failed: 1,
  cancelled: 1,
  duplicate: duplicateStatus,
  left: 143,
};
process.exitCode =
  exitCodes[await runWrappedJob(launch, (word) => console.error(`job ${id}, start ${restarts}: ${word.trim()}`))];
