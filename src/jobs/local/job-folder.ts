import { createHash } from 'node:crypto';
import { access, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../contracts/digest.ts';
import type { FailureClass } from '../../contracts/failures.ts';
import type { JobProgress, JobSpec } from '../../contracts/job.ts';
import { type ContainerFolders, containerFolders } from '../container-contract.ts';
import type { ProcessIdentity } from './processes.ts';

/**
 * One job = one folder. Its files are the only memory that submitters, the wrapper and watchers share, so each of them is
 * written whole (link or rename) and says by its existence how far the job has come:
 *
 *     job.json        the spec                      exclusive: the first submit decides
 *     ml/             what /opt/ml is elsewhere     renamed into place when its inputs are complete
 *     claim-1.json    who may run the program       exclusive: a wrapper, or a cancel that came first
 *     cancel          somebody wants it stopped
 *     heartbeat       its mtime is the wrapper's renewal
 *     program.json    the running program
 *     progress.json, metrics.jsonl, logs/
 *     exit.json       how it ended                  exclusive: what was told once stays true
 */
export interface JobFolder {
  path: string;
  record: string;
  cancel: string;
  heartbeat: string;
  program: string;
  progress: string;
  metrics: string;
  logs: string;
  stdout: string;
  stderr: string;
  wrapperLog: string;
  exit: string;
  container: ContainerFolders;
}

/** The folder's name is the hash of the job's name, so no name can lead out of `jobsFolder`. */
export function jobFolderOf(jobsFolder: string, name: string): JobFolder {
  return jobFolderAt(join(jobsFolder, createHash('sha256').update(name).digest('hex')));
}

export function jobFolderAt(path: string): JobFolder {
  return {
    path,
    record: join(path, 'job.json'),
    cancel: join(path, 'cancel'),
    heartbeat: join(path, 'heartbeat'),
    program: join(path, 'program.json'),
    progress: join(path, 'progress.json'),
    metrics: join(path, 'metrics.jsonl'),
    logs: join(path, 'logs'),
    stdout: join(path, 'logs', 'stdout.log'),
    stderr: join(path, 'logs', 'stderr.log'),
    wrapperLog: join(path, 'logs', 'wrapper.log'),
    exit: join(path, 'exit.json'),
    container: containerFolders(join(path, 'ml')),
  };
}

export interface JobRecord {
  specDigest: Digest;
  spec: JobSpec;
  submittedAt: string;
}

/** Who may run the program. */
export interface Claim extends ProcessIdentity {
  /** A cancel takes the claim of a job that has not started, so that no wrapper ever can. */
  by: 'wrapper' | 'cancel';
  /** Value of the environment variable that marks every process of the program. */
  marker: string;
  /** The wrapper renews its heartbeat within this time or kills its program. */
  renewWithinMs: number;
  /** The batch job that the wrapper runs in. */
  batchJob?: BatchJob;
  at: string;
}

/** A Slurm job keeps its id when it is requeued and counts its restarts. */
export interface BatchJob {
  id: string;
  restarts: number;
}

export interface ProgramRecord {
  /** Also its process group and session. */
  pid: number;
  startTicks: number;
  startedAt: string;
}

export interface ExitRecord {
  state: 'succeeded' | 'failed' | 'cancelled';
  failureClass?: FailureClass;
  reason?: string;
  exitCode?: number;
  signal?: string;
  startedAt?: string;
  endedAt: string;
  /** By a monotonic clock. */
  runMs?: number;
  /** Largest sum over the program's processes that a check saw; absent when it ended before the first check. */
  rssPeakBytes?: number;
  /** User and system time of the program and those of its children that it waited for. */
  cpuMs?: number;
}

export type ProgressRecord = JobProgress;

/** The environment variable that every process of a program carries. */
export const markerVariable = 'GOTO3_JOB_MARKER';

/** Undefined when there is no such file. Control files are written whole, so what is there parses. */
export async function readControlFile<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as T;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

export const isThere = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
