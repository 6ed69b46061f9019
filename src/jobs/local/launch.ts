import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, open, readFile } from 'node:fs/promises';
import type { Readable, Writable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { JobNotStarted } from '../errors.ts';
import type { ProgramTools } from '../program.ts';
import type { GpuLeaseSettings } from './gpu-leases.ts';
import type { BatchJob, JobFolder } from './job-folder.ts';

/** How a wrapper watches over its program. */
export interface WrapperLimits {
  /** From the request to stop to the kill; SageMaker gives 120 s. */
  graceMs: number;
  /** The claim is lost when it is not renewed within this time. */
  renewWithinMs: number;
  /** Cancel file, time limit and progress timeout are looked at so often. */
  watchEveryMs: number;
  memoryCheckEveryMs: number;
  /** Per stream. */
  logCapBytes: number;
}

/** All that a wrapper must be told; it reads one from stdin, so that secrets are in no file and no argv. */
export interface Launch {
  /** The job's folder; of an array the array's. */
  folder: string;
  /** Which task of the array this is. */
  task?: number;
  host: string;
  tools: Pick<ProgramTools, 'typeScriptLoader' | 'nice' | 'setpriv'>;
  /** Values by environment name. */
  secrets: Record<string, string>;
  /** Absent where a batch system hands the devices out. */
  gpuLeases?: GpuLeaseSettings;
  batchJob?: BatchJob;
  /** All hosts of the job, where there are several. */
  hosts?: string[];
  limits: WrapperLimits;
}

/** What a wrapper says on descriptor 3, before anything runs. */
export const claimedWord = 'claimed\n';
export const duplicateWord = 'duplicate\n';
/** Exit status of a wrapper that came second (EX_TEMPFAIL); never a job's result. */
export const duplicateStatus = 75;

const answerWithinMs = 30_000;

export interface WrapperStart {
  folder: JobFolder;
  launch: Launch;
  /** The bundled wrapper. */
  script: string;
  environment: Record<string, string>;
  onStarted: (pid: number) => void;
}

/**
 * Starts a wrapper that will outlive this process, and waits until the job is claimed, by it or by another. Throws
 * `JobNotStarted` when it died before that: then nothing runs and nothing was claimed by it.
 */
export async function startWrapper({ folder, launch, script, environment, onStarted }: WrapperStart): Promise<void> {
  await mkdir(folder.logs, { recursive: true });
  const log = await open(folder.wrapperLog, 'a', 0o600);
  try {
    const child = spawn(process.execPath, [script, folder.path], {
      cwd: folder.path,
      env: environment,
      detached: true,
      stdio: ['pipe', log.fd, log.fd, 'pipe'],
    });
    if (child.pid === undefined) throw ((await once(child, 'error')) as [Error])[0];
    child.unref();
    onStarted(child.pid);
    const stdin = child.stdin as Writable;
    // EPIPE: it died; its answer, or the lack of one, says so.
    stdin.on('error', () => {});
    stdin.end(JSON.stringify(launch));
    const answer = await answerOf(child.stdio[3] as Readable);
    if (answer !== claimedWord && answer !== duplicateWord)
      throw new JobNotStarted(`the job's wrapper died before it could claim the job: ${await lastLines(folder)}`);
  } finally {
    await log.close();
  }
}

async function answerOf(stream: Readable): Promise<string> {
  const timer = setTimeout(() => stream.destroy(new JobNotStarted('the wrapper did not answer')), answerWithinMs);
  try {
    return await text(stream);
  } finally {
    clearTimeout(timer);
  }
}

const lastLines = async (folder: JobFolder): Promise<string> =>
  (await readFile(folder.wrapperLog, 'utf8')).trimEnd().split('\n').slice(-5).join('\n').slice(-1000);
