import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startedTasks, taskFolderOf } from '../array/task-folder.ts';
import { JobNotStarted } from '../errors.ts';
import { readClaim } from '../local/claim.ts';
import { type BatchJob, isThere, type JobFolder, readControlFile } from '../local/job-folder.ts';
import { publishOnce } from '../local/publish.ts';
import { SubmitUnclear } from './errors.ts';
import type { QueueWatch } from './queue-watch.ts';
import { type SlurmTransport, type Submission, wholeId } from './transport.ts';

/** Which Slurm job this job is; the first word stands. */
export interface Accepted {
  id: string;
  how: 'submitted' | 'adopted' | 'claimed';
  at: string;
}

export const acceptedPath = (folder: JobFolder): string => join(folder.path, 'slurm.json');
export const readAccepted = (folder: JobFolder): Promise<Accepted | undefined> =>
  readControlFile<Accepted>(acceptedPath(folder));

interface Intent {
  at: string;
}

export interface SubmitOnceOptions {
  folder: JobFolder;
  transport: SlurmTransport;
  queue: QueueWatch;
  unclearWaitMs: number;
  /** Built only when a submit is really made: it resolves secrets. */
  submission: () => Promise<Submission>;
  log: (event: string, fields: Record<string, string | number>) => void;
}

const pollMs = 50;
const rounds = 3;

/**
 * At most one job in Slurm, which has no idempotency token. Each submit is preceded by an intent, created exclusively:
 *
 *     intent-1.json   somebody may have a submit on its way     closed-1.json   it surely came to nothing
 *
 * Whoever finds an open intent, its own or that of a process that was killed, waits for longer than a message can be on
 * its way, looks the job up by its name, adopts what it finds, and only then makes intent n+1. What Slurm still lets
 * through twice (an overloaded controller that answers later than that), the wrapper's claim turns away.
 *
 * Throws `SubmitRejected`, `ClusterUnavailable` or `JobNotStarted`; asking again is always safe.
 */
export async function submitOnce(options: SubmitOnceOptions): Promise<Accepted> {
  const { folder, transport, log } = options;
  let roundsLeft = rounds;
  for (;;) {
    const known = (await readAccepted(folder)) ?? (await acceptClaimed(folder));
    if (known) return known;
    const newest = await newestIntent(folder);
    if (newest > 0 && !(await isThere(closedPath(folder, newest)))) {
      const found = await waitAndLookUp(options, newest);
      if (found) return found;
      if (roundsLeft-- === 0)
        throw new JobNotStarted(`${rounds} submits were not answered, and no job of that name is in the queue`);
    }
    const number = newest + 1;
    const intent: Intent = { at: new Date().toISOString() };
    const submission = await options.submission();
    if (!(await publishOnce(intentPath(folder, number), JSON.stringify(intent)))) continue;
    log('job.submitting', { intent: number });
    try {
      const id = await transport.submit(submission);
      log('job.submitted', { id });
      return await accept(folder, { id, how: 'submitted', at: new Date().toISOString() });
    } catch (error) {
      log('job.submitFailed', { problem: (error as Error).message });
      if (error instanceof SubmitUnclear) continue;
      await publishOnce(closedPath(folder, number), JSON.stringify({ why: (error as Error).message }));
      throw error;
    }
  }
}

/** Records which Slurm job it is, unless somebody has; returns what stands. */
async function accept(folder: JobFolder, accepted: Accepted): Promise<Accepted> {
  await publishOnce(acceptedPath(folder), JSON.stringify(accepted));
  return (await readAccepted(folder))!;
}

/** The wrapper came first: the submitter was killed before it could note the id. */
async function acceptClaimed(folder: JobFolder): Promise<Accepted | undefined> {
  const batchJob = (await readClaim(folder))?.claim.batchJob ?? (await claimedByTask(folder));
  return batchJob && (await accept(folder, { id: wholeId(batchJob.id), how: 'claimed', at: new Date().toISOString() }));
}

/** Of an array it is a task that came first. */
async function claimedByTask(array: JobFolder): Promise<BatchJob | undefined> {
  for (const task of await startedTasks(array)) {
    const batchJob = (await readClaim(taskFolderOf(array, task)))?.claim.batchJob;
    if (batchJob) return batchJob;
  }
  return undefined;
}

/** The full wait by this process's own clock: whose intent it is, and when by whose clock it was made, does not matter. */
async function waitAndLookUp(options: SubmitOnceOptions, number: number): Promise<Accepted | undefined> {
  const { folder, queue, unclearWaitMs, log } = options;
  for (const untilMs = performance.now() + unclearWaitMs; performance.now() < untilMs; await sleep(pollMs)) {
    const known = (await readAccepted(folder)) ?? (await acceptClaimed(folder));
    if (known) return known;
    if ((await isThere(closedPath(folder, number))) || (await newestIntent(folder)) > number) return undefined;
  }
  const intent = await readControlFile<Intent>(intentPath(folder, 1));
  const name = (await options.submission()).directives.name;
  const found = await queue.find(name, Date.parse(intent!.at) - clockSlackMs);
  // The lowest id is the oldest. A second one, if there is one, is turned away by the claim.
  const id = found.map((job) => Number(wholeId(job.id))).sort((a, b) => a - b)[0];
  if (id === undefined) return undefined;
  log('job.adopted', { id, found: found.length });
  return await accept(folder, { id: String(id), how: 'adopted', at: new Date().toISOString() });
}

/** Between the clocks of a worker and of the cluster. */
const clockSlackMs = 600_000;

const intentPath = (folder: JobFolder, number: number): string => join(folder.path, `intent-${number}.json`);
const closedPath = (folder: JobFolder, number: number): string => join(folder.path, `closed-${number}.json`);

async function newestIntent(folder: JobFolder): Promise<number> {
  const numbers = (await readdir(folder.path)).map((name) => Number(/^intent-(\d+)\.json$/.exec(name)?.[1] ?? 0));
  return Math.max(0, ...numbers);
}
