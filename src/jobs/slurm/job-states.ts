import { readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { JobRef, JobStatus } from '../../contracts/job.ts';
import { machineName } from '../../contracts/names.ts';
import { formatDuration } from '../../contracts/units.ts';
import { makeTaskFolder } from '../array/task-folder.ts';
import { leftPath, readClaim, takeClaim } from '../local/claim.ts';
import { HeartbeatWatch } from '../local/heartbeat-watch.ts';
import {
  type Claim,
  type ExitRecord,
  isThere,
  type JobFolder,
  type ProgramRecord,
  type ProgressRecord,
  readControlFile,
} from '../local/job-folder.ts';
import { statusOf } from '../local/job-state.ts';
import type { WrapperLimits } from '../local/launch.ts';
import { thisProcess } from '../local/processes.ts';
import { publishOnce } from '../local/publish.ts';
import { isBeating, type Judgement, judge, type Patience } from './judge.ts';
import type { QueueWatch } from './queue-watch.ts';
import { phaseOf } from './states.ts';
import { readAccepted } from './submission.ts';
import { type SlurmTransport, wholeId } from './transport.ts';

export interface SlurmJobStatesOptions {
  queue: QueueWatch;
  transport: SlurmTransport;
  patience: Patience;
  limits: WrapperLimits;
  /** Slurm's name of a job. */
  slurmName: (jobName: string) => string;
}

/** What is known of a job besides its folder. */
export interface Asked {
  /** Of an array; its folder is then the task's. */
  task?: number;
  /** After this in the queue: class `capacity`. */
  startWithinMs?: number;
}

const cancelledUnstarted = { state: 'cancelled', reason: 'cancelled before it started' } as const;
/** Slurm's id of a job that never came to Slurm. */
export const noId = 'none';
/** A wrapper that was told to stop and does not is ended by Slurm, and asked again so often. */
const scancelAgainMs = 60_000;

/** How far a Slurm job has come: exit.json first, then the wrapper's renewals, then Slurm. First word stays. */
export class SlurmJobStates {
  readonly #options: SlurmJobStatesOptions;
  readonly #heartbeats = new HeartbeatWatch();
  /** When this process first saw the cancel of a running job, and when it last told Slurm. */
  readonly #cancels = new Map<string, { seenMs: number; toldMs: number }>();

  /** Since when this process has seen a job wait, by its monotonic clock: a worker that starts anew begins to count anew. */
  readonly #waitingSince = new Map<string, number>();

  constructor(options: SlurmJobStatesOptions) {
    this.#options = options;
  }

  async of(folder: JobFolder, ref: JobRef, asked: Asked = {}): Promise<JobStatus> {
    const status = await this.#withoutProgress(folder, ref, asked);
    const progress = await readControlFile<ProgressRecord>(folder.progress);
    return { ...status, ...(progress && { progress }) };
  }

  /** Of a task that nobody has made a folder for: only Slurm can know more. */
  async ofUnstarted(folder: JobFolder, ref: JobRef, asked: Asked): Promise<JobStatus> {
    const judgement = this.#judgeUnstarted(ref, asked);
    if (judgement.kind === 'status') return judgement.status;
    await makeTaskFolder(folder);
    return await this.#withoutProgress(folder, ref, asked);
  }

  #judgeUnstarted(ref: JobRef, asked: Asked): Judgement {
    const { queue, patience, slurmName } = this.#options;
    const id = idOf(ref);
    const word = queue.wordOn(id, slurmName(ref.name));
    return this.#inTime(judge({ id, cancelled: false, silentMs: 0, word }, patience), id, asked);
  }

  /** Slurm's id of this job if it has been started or has ended already; a cancelled one is ended first. */
  async acceptedId(folder: JobFolder): Promise<string | undefined> {
    const accepted = await readAccepted(folder);
    if (accepted) return accepted.id;
    if (await isThere(folder.exit)) return noId;
    const claim = (await readClaim(folder))?.claim;
    return claim?.by === 'cancel' ? noId : undefined;
  }

  /** Ends a job that the cluster will never run. */
  async reject(folder: JobFolder, reason: string): Promise<string> {
    await this.#end(folder, { state: 'failed', failureClass: 'userError', reason });
    return noId;
  }

  /** Records the cancel. A running program gets its grace from the wrapper; what waits is taken out of the queue. */
  async cancel(folder: JobFolder, jobName: string): Promise<void> {
    if (await isThere(folder.exit)) return;
    await publishOnce(folder.cancel, JSON.stringify({ at: new Date().toISOString() }));
    if (await this.#claimInstead(folder)) await this.#cancelUnstarted(folder, jobName, {}, cancelledUnstarted);
  }

  /** The same for tasks of an array, with one look at the queue for all of them. */
  async cancelTasks(tasks: readonly { task: number; folder: JobFolder }[], jobName: string): Promise<void> {
    const unstarted = new Set<number>();
    for (const { task, folder } of tasks) {
      await publishOnce(folder.cancel, JSON.stringify({ at: new Date().toISOString() }));
      if (await this.#claimInstead(folder)) unstarted.add(task);
    }
    if (unstarted.size === 0) return;
    await this.#takeOut(jobName, (task) => unstarted.has(task));
    for (const { task, folder } of tasks) if (unstarted.has(task)) await this.#end(folder, cancelledUnstarted);
  }

  /** Takes the claim of a job that has not started, so that no wrapper ever can; false when a wrapper was first. */
  async #claimInstead(folder: JobFolder): Promise<boolean> {
    const claim = await takeClaim(folder, {
      ...thisProcess(machineName(hostname())),
      by: 'cancel',
      marker: '',
      renewWithinMs: this.#options.limits.renewWithinMs,
      at: new Date().toISOString(),
    });
    return claim.taken || claim.winner.by === 'cancel';
  }

  /** The claim is ours, so no wrapper will ever run the program; the queue is only tidied up. */
  async #cancelUnstarted(
    folder: JobFolder,
    jobName: string,
    { task }: Asked,
    exit: Omit<ExitRecord, 'endedAt'>,
  ): Promise<void> {
    await this.#takeOut(jobName, (one) => task === undefined || one === task);
    await this.#end(folder, exit);
  }

  /** Out of the queue. @param which tasks of an array; other tasks of it go on */
  async #takeOut(jobName: string, which: (task: number) => boolean): Promise<void> {
    const { transport, slurmName } = this.#options;
    const ids = (await transport.queue())
      .filter((job) => job.name === slurmName(jobName) && ['waiting', 'running'].includes(phaseOf(job.states)))
      .map((job) => job.id)
      .filter((id) => !/_\d+$/.test(id) || which(Number(id.split('_')[1])));
    // What the cluster does not list by number is left to the claims: such a task starts, and is turned away.
    const listed = ids.filter((id) => !id.endsWith('*'));
    if (listed.length > 0) await transport.cancel(listed);
  }

  async #withoutProgress(folder: JobFolder, ref: JobRef, asked: Asked): Promise<JobStatus> {
    const exit = await readControlFile<ExitRecord>(folder.exit);
    if (exit) return this.#ended(folder, exit);
    const found = await readClaim(folder);
    if (found?.claim.by === 'cancel') {
      await this.#cancelUnstarted(folder, ref.name, asked, cancelledUnstarted);
      return await this.#recorded(folder);
    }
    const judgement = await this.#judge(folder, ref, found, asked);
    if (judgement.kind === 'status') return judgement.status;
    if (judgement.kind === 'hopeless') {
      if (await this.#claimInstead(folder)) await this.#cancelUnstarted(folder, ref.name, asked, judgement.exit);
      return await this.#recorded(folder);
    }
    // Nobody may start it from here on, a second Slurm job of the same name or a late requeue least of all.
    await publishOnce(folder.cancel, JSON.stringify({ at: new Date().toISOString() }));
    await this.#end(folder, withWords(judgement.exit, await tailOf(folder.stderr), await tailOf(folder.wrapperLog)));
    return await this.#recorded(folder);
  }

  async #judge(
    folder: JobFolder,
    ref: JobRef,
    found: { number: number; claim: Claim } | undefined,
    asked: Asked,
  ): Promise<Judgement> {
    const { queue, patience, slurmName } = this.#options;
    const claim = found?.claim;
    const left = found && (await readControlFile<ExitRecord>(leftPath(folder, found.number)));
    const program = claim && (await readControlFile<ProgramRecord>(folder.program));
    const silentMs = claim ? (await this.#heartbeats.observe(folder)).unchangedMs : 0;
    const id = claim?.batchJob?.id ?? (await readAccepted(folder))?.id ?? idOf(ref);
    const cancelled = await isThere(folder.cancel);
    if (cancelled && claim) await this.#insist(folder, id);
    const known = { ...(claim && { claim }), ...(left && { left }), silentMs };
    const judgement = judge(
      {
        ...known,
        id,
        ...(program && { program }),
        cancelled,
        word: isBeating(known) ? { kind: 'silent', why: 'not asked' } : queue.wordOn(id, slurmName(ref.name)),
      },
      patience,
    );
    if (!claim) return this.#inTime(judgement, id, asked);
    this.#waitingSince.delete(wholeId(id));
    return judgement;
  }

  /** A job that waits in the queue beyond its patience has no place there: the next partition may have one. */
  #inTime(judgement: Judgement, id: string, { startWithinMs }: Asked): Judgement {
    const key = wholeId(id);
    const now = performance.now();
    if (startWithinMs === undefined || judgement.kind !== 'status' || judgement.status.state !== 'pending')
      return judgement;
    const since = this.#waitingSince.get(key) ?? now;
    this.#waitingSince.set(key, since);
    if (now - since < startWithinMs) return judgement;
    const reason = `Slurm job ${id} did not start within ${formatDuration(startWithinMs)}: ${judgement.status.reason ?? 'it waits'}`;
    return { kind: 'hopeless', exit: { state: 'failed', failureClass: 'capacity', reason } };
  }

  /** The wrapper ends its program within the grace; one that does not (a hung node, a lost folder) is Slurm's to end. */
  async #insist(folder: JobFolder, id: string): Promise<void> {
    const { transport, limits } = this.#options;
    const now = performance.now();
    const cancel = this.#cancels.get(folder.path) ?? { seenMs: now, toldMs: Number.NEGATIVE_INFINITY };
    this.#cancels.set(folder.path, cancel);
    if (now - cancel.seenMs < limits.graceMs + limits.renewWithinMs || now - cancel.toldMs < scancelAgainMs) return;
    cancel.toldMs = now;
    await transport.cancel([id]);
  }

  async #end(folder: JobFolder, exit: Omit<ExitRecord, 'endedAt'>): Promise<void> {
    const record: ExitRecord = { ...exit, endedAt: new Date().toISOString() };
    await publishOnce(folder.exit, JSON.stringify(record));
  }

  /** What exit.json says, which may be another's word: whoever wrote it first was right. */
  async #recorded(folder: JobFolder): Promise<JobStatus> {
    const exit = await readControlFile<ExitRecord>(folder.exit);
    // No exit after all: a wrapper claimed the job between two looks, and the next look finds it.
    return exit ? this.#ended(folder, exit) : { state: 'pending' };
  }

  #ended(folder: JobFolder, exit: ExitRecord): JobStatus {
    this.#heartbeats.forget(folder);
    this.#cancels.delete(folder.path);
    return statusOf(exit);
  }
}

/** slurmstepd's own words; a site without cgroups has no state OUT_OF_MEMORY. */
const slurmKilledForMemory = /exceeded (?:job )?memory limit|oom[-_ ]?kill|out of memory/i;

/** Adds why a job ended that could not say it itself: the program's last lines, else Slurm's and the wrapper's. Pure. */
function withWords(exit: Omit<ExitRecord, 'endedAt'>, program: string, slurm: string): Omit<ExitRecord, 'endedAt'> {
  if (exit.state !== 'failed') return exit;
  const killed = exit.failureClass === 'infrastructure' && slurmKilledForMemory.test(slurm);
  const words = killed || program === '' ? slurm : program;
  return {
    ...exit,
    ...(killed && { failureClass: 'outOfMemory' }),
    reason: [exit.reason, words].filter((text) => text !== '').join(': '),
  };
}

const tailOf = async (path: string): Promise<string> => {
  const text = await readFile(path, 'utf8').catch(() => '');
  return text.trimEnd().split('\n').slice(-5).join('\n').slice(-600);
};

/** Slurm's id in a reference: `lab/123`, or `lab/123_4` for a task. */
const idOf = ({ externalId }: JobRef): string => externalId.split('/').at(-1)!;
