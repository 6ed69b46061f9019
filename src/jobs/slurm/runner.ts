import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { JobOutputs, JobRef, JobRunner, JobSpec, JobStatus, LogPage, TaskStatus } from '../../contracts/job.ts';
import type { SlurmTarget } from '../../contracts/slurm-target.ts';
import { canonicalBytes, digestOf } from '../../store/canonical-json.ts';
import { ArrayStates, type TaskWords } from '../array/array-states.ts';
import { taskToShow } from '../array/tally.ts';
import { taskFolderOf } from '../array/task-folder.ts';
import { isThere, type JobFolder, type JobRecord, jobFolderOf, readControlFile } from '../local/job-folder.ts';
import { findJob, recordJob, runnableSpec } from '../local/job-record.ts';
import type { WrapperLimits } from '../local/launch.ts';
import { readLogPage } from '../local/log-pages.ts';
import { publishOnce, syncFolder } from '../local/publish.ts';
import { removeUnfinishedStaging, stageContainer } from '../local/staging.ts';
import type { ChannelSource } from '../materialise.ts';
import type { SecretSource } from '../secrets.ts';
import { BatchSubmissions } from './batch-submissions.ts';
import { directivesOf, slurmJobName } from './directives.ts';
import { SubmitRejected } from './errors.ts';
import { noId, SlurmJobStates } from './job-states.ts';
import type { Patience } from './judge.ts';
import { QueueWatch } from './queue-watch.ts';
import { type Accepted, readAccepted, submitOnce } from './submission.ts';
import { refusal } from './submit-answer.ts';
import { type SlurmTransport, wholeId } from './transport.ts';

export interface SlurmRunnerOptions {
  /** The target's name: `lab` of `slurm:lab`. */
  name: string;
  target: SlurmTarget;
  transport: SlurmTransport;
  channels: ChannelSource;
  secrets: SecretSource;
  /** The worker's own environment; programs see an allow-list of it. */
  hostEnvironment: Readonly<Record<string, string | undefined>>;
  limits?: Partial<WrapperLimits>;
  patience?: Partial<Patience>;
  /** One event per step of a submit, with ids. */
  log?: (event: string, fields: Record<string, string | number>) => void;
}

const defaultLimits: WrapperLimits = {
  graceMs: 120_000,
  renewWithinMs: 30_000,
  // On a shared folder a look costs a round trip.
  watchEveryMs: 1_000,
  memoryCheckEveryMs: 1_000,
  logCapBytes: 16 * 2 ** 20,
};
/** Each is some kilobytes; reading one again is a round trip to the shared folder. */
const rememberedSpecs = 2_000;

const startWithin = ({ batch }: JobSpec) =>
  batch?.startWithinMs === undefined ? {} : { startWithinMs: batch.startWithinMs };

const defaultPatience: Patience = { settleMs: 15_000, returnMs: 60_000, absentMs: 60_000 };

/**
 * Runs jobs on a Slurm cluster. Worker and compute nodes share one folder, whose files are a job's memory as for local jobs;
 * Slurm is asked for what they cannot say: whether a job that has not started waits, and what became of a wrapper that is
 * silent.
 */
export function createSlurmRunner(options: SlurmRunnerOptions): JobRunner {
  return new SlurmRunner(options);
}

class SlurmRunner implements JobRunner {
  readonly kind = 'slurm';
  readonly #options: SlurmRunnerOptions;
  readonly #limits: WrapperLimits;
  readonly #queue: QueueWatch;
  readonly #states: SlurmJobStates;
  readonly #arrays = new ArrayStates();
  readonly #specs = new Map<string, JobSpec>();
  /** Submits of one job in this process share one start. */
  readonly #starting = new Map<string, Promise<string>>();
  readonly #submissions: BatchSubmissions;

  constructor(options: SlurmRunnerOptions) {
    const { target, transport } = options;
    this.#options = options;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#submissions = new BatchSubmissions({ ...options, limits: this.#limits });
    this.#queue = new QueueWatch(transport, target.poll);
    this.#states = new SlurmJobStates({
      queue: this.#queue,
      transport,
      patience: { ...defaultPatience, ...options.patience },
      limits: this.#limits,
      slurmName: (jobName) => slurmJobName(target.folder, jobName),
    });
  }

  async submit(input: JobSpec): Promise<JobRef> {
    const spec = runnableSpec(input);
    const { target, name } = this.#options;
    const folder = jobFolderOf(target.folder, spec.name);
    directivesOf(spec, target, folder, this.#limits);
    const specDigest = digestOf(canonicalBytes(spec));
    await mkdir(folder.logs, { recursive: true, mode: 0o700 });
    await syncFolder(dirname(folder.path));
    await recordJob(folder, spec, specDigest);
    this.#log('job.recorded', spec, {});
    const id = await this.#startOnce(folder, spec);
    return { runner: 'slurm', name: spec.name, specDigest, externalId: `${name}/${id}` };
  }

  async describe(ref: JobRef): Promise<JobStatus> {
    const folder = await this.#find(ref);
    const spec = await this.#specOf(folder);
    if (spec.array) return await this.#arrays.of(folder, spec, this.#wordsOn(folder, ref, spec));
    return await this.#states.of(folder, ref, startWithin(spec));
  }

  async tasks(ref: JobRef): Promise<TaskStatus[]> {
    const folder = await this.#find(ref);
    const spec = await this.#specOf(folder);
    return spec.array ? await this.#arrays.tasks(folder, spec, this.#wordsOn(folder, ref, spec)) : [];
  }

  async cancel(ref: JobRef): Promise<void> {
    const folder = await this.#find(ref);
    await this.#cancel(folder, ref.name, await this.#specOf(folder));
  }

  async withdraw(name: string): Promise<JobRef | undefined> {
    const { target, name: lab } = this.#options;
    const folder = jobFolderOf(target.folder, name);
    await mkdir(folder.path, { recursive: true, mode: 0o700 });
    await syncFolder(dirname(folder.path));
    const record = await readControlFile<JobRecord>(folder.record);
    await this.#cancel(folder, name, record?.spec);
    const id = (await this.#states.acceptedId(folder)) ?? noId;
    return record && { runner: 'slurm', name, specDigest: record.specDigest, externalId: `${lab}/${id}` };
  }

  async logs(ref: JobRef, cursor?: string, task?: number): Promise<LogPage> {
    const whole = await this.#find(ref);
    const spec = await this.#specOf(whole);
    const shown = spec.array && (task ?? taskToShow(await this.tasks(ref)));
    const folder = shown === undefined ? whole : taskFolderOf(whole, shown);
    // A task of an array that has ended may never have started.
    const ended = (await isThere(folder.exit)) || (folder !== whole && (await isThere(whole.exit)));
    return await readLogPage(folder, cursor, ended);
  }

  async outputs(ref: JobRef): Promise<JobOutputs> {
    const { container } = await this.#find(ref);
    return {
      modelDirectory: container.model,
      dataDirectory: container.outputData,
      checkpointDirectory: container.checkpoints,
    };
  }

  async #cancel(folder: JobFolder, name: string, spec: JobSpec | undefined): Promise<void> {
    if (!spec?.array) {
      await this.#states.cancel(folder, name);
      return;
    }
    if (await isThere(folder.exit)) return;
    await publishOnce(folder.cancel, JSON.stringify({ at: new Date().toISOString() }));
    await this.#states.cancelTasks(await this.#arrays.open(folder, spec), name);
  }

  /** What the folders of an array's tasks do not say themselves. */
  #wordsOn(array: JobFolder, ref: JobRef, spec: JobSpec): TaskWords {
    let accepted: ReturnType<typeof readAccepted> | undefined;
    const taskRef = async (task: number): Promise<JobRef> => {
      accepted ??= readAccepted(array);
      const id = (await accepted)?.id ?? wholeId(ref.externalId.split('/').at(-1)!);
      return { ...ref, externalId: `${this.#options.name}/${id}_${task}` };
    };
    return {
      started: async (folder, task) => await this.#states.of(folder, await taskRef(task), { task }),
      unstarted: async (folder, task, noneStarted) =>
        await this.#states.ofUnstarted(folder, await taskRef(task), { task, ...(noneStarted && startWithin(spec)) }),
    };
  }

  /** The first submit of a name decided what it is, for ever. */
  async #specOf(folder: JobFolder): Promise<JobSpec> {
    const known = this.#specs.get(folder.path) ?? (await readControlFile<JobRecord>(folder.record))!.spec;
    if (this.#specs.size >= rememberedSpecs) this.#specs.clear();
    this.#specs.set(folder.path, known);
    return known;
  }

  async #startOnce(folder: JobFolder, spec: JobSpec): Promise<string> {
    const running = this.#starting.get(folder.path);
    if (running) return await running;
    const start = this.#start(folder, spec).finally(() => this.#starting.delete(folder.path));
    this.#starting.set(folder.path, start);
    return await start;
  }

  /** Every step may be the last one of this process; the next submit goes on where it stopped. */
  async #start(folder: JobFolder, spec: JobSpec): Promise<string> {
    const { target, transport, channels } = this.#options;
    const known = await this.#states.acceptedId(folder);
    if (known !== undefined) return known;
    if (!(await isThere(folder.container.root))) {
      // The host is not known yet; the wrapper writes what depends on it.
      const facts = { currentHost: 'unknown', hosts: ['unknown'], networkInterface: 'lo' };
      await stageContainer(folder, spec, channels, facts);
    }
    this.#log('job.staged', spec, {});
    let accepted: Accepted;
    try {
      accepted = await submitOnce({
        folder,
        transport,
        queue: this.#queue,
        unclearWaitMs: target.unclearWaitMs,
        submission: () => this.#submissions.of(folder, spec),
        log: (event, fields) => this.#log(event, spec, fields),
      });
    } catch (error) {
      if (!(error instanceof SubmitRejected)) throw error;
      // The cluster's no is this job's end: it parks with the cluster's own words.
      return await this.#states.reject(folder, refusal(error.message, spec));
    }
    this.#log('job.accepted', spec, { id: accepted.id, how: accepted.how });
    await removeUnfinishedStaging(folder);
    return accepted.id;
  }

  async #find(ref: JobRef): Promise<JobFolder> {
    const { target, name } = this.#options;
    return await findJob(target.folder, ref, `slurm:${name} in ${target.folder}`);
  }

  #log(event: string, spec: JobSpec, fields: Record<string, string | number>): void {
    this.#options.log?.(event, { job: spec.name, target: this.#options.name, ...fields });
  }
}
