import { mkdir } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import type { Digest } from '../../contracts/digest.ts';
import type { JobOutputs, JobRef, JobRunner, JobSpec, JobStatus, LogPage, TaskStatus } from '../../contracts/job.ts';
import { hostQueue } from '../../contracts/names.ts';
import { canonicalBytes, digestOf } from '../../store/canonical-json.ts';
import { ArrayStates, type TaskWords } from '../array/array-states.ts';
import { hasEnded, taskToShow } from '../array/tally.ts';
import { makeTaskFolder, startedTasks, taskFolderOf } from '../array/task-folder.ts';
import { allowedEnvironment } from '../container-contract.ts';
import { JobNotFound } from '../errors.ts';
import type { ChannelSource } from '../materialise.ts';
import { resolveSecrets, type SecretSource } from '../secrets.ts';
import { readClaim } from './claim.ts';
import type { GpuLeaseSettings } from './gpu-leases.ts';
import {
  isThere,
  type JobFolder,
  type JobRecord,
  jobFolderOf,
  type ProgressRecord,
  readControlFile,
} from './job-folder.ts';
import { findJob, recordJob, runnableSpec } from './job-record.ts';
import { JobStates } from './job-state.ts';
import { startWrapper, type WrapperLimits } from './launch.ts';
import { readLogPage } from './log-pages.ts';
import { pruneJobFolders } from './prune.ts';
import { publishOnce, syncFolder } from './publish.ts';
import { removeUnfinishedStaging, stageContainer } from './staging.ts';
import { findTools } from './tools.ts';
import { bundleWrapper, localWrapper } from './wrapper-bundle.ts';

export interface LocalRunnerOptions {
  /** Absolute folder of all jobs of this host; on its own disk. */
  jobsFolder: string;
  /** Unique among the hosts that share `jobsFolder`. */
  host: string;
  channels: ChannelSource;
  secrets: SecretSource;
  gpuLeases: GpuLeaseSettings;
  /** The worker's own environment; programs see an allow-list of it. */
  hostEnvironment: Readonly<Record<string, string | undefined>>;
  limits?: Partial<WrapperLimits>;
  /** One event per step of a submit, with ids. */
  log?: (event: string, fields: Record<string, string | number>) => void;
}

const pruneEveryMs = 24 * 3_600_000;

const defaultLimits: WrapperLimits = {
  graceMs: 120_000,
  renewWithinMs: 30_000,
  watchEveryMs: 100,
  memoryCheckEveryMs: 1_000,
  logCapBytes: 16 * 2 ** 20,
};

/** Runs jobs as processes of this machine that outlive their worker (Linux: it reads /proc). */
export function createLocalRunner(options: LocalRunnerOptions): JobRunner {
  return new LocalRunner(options);
}

class LocalRunner implements JobRunner {
  readonly kind = 'local';
  readonly #options: LocalRunnerOptions;
  readonly #limits: WrapperLimits;
  readonly #states: JobStates;
  readonly #programEnvironment: Record<string, string>;
  readonly #arrays = new ArrayStates();
  /** Submits of one job in this process share one start. */
  readonly #starting = new Map<string, Promise<void>>();
  #pruneAtMs = 0;
  #preparing: Promise<{ script: string; tools: Awaited<ReturnType<typeof findTools>> }> | undefined;

  constructor(options: LocalRunnerOptions) {
    this.#options = options;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#states = new JobStates(options.host, this.#limits.renewWithinMs);
    this.#programEnvironment = allowedEnvironment(options.hostEnvironment);
    // Early, so that the first submit need not wait; a failure shows there.
    this.#prepare().catch(() => {});
  }

  async submit(input: JobSpec): Promise<JobRef> {
    const spec = runnableSpec(input, (asked) => this.#refusal(asked));
    const folder = jobFolderOf(this.#options.jobsFolder, spec.name);
    const specDigest = digestOf(canonicalBytes(spec));
    // Inputs and logs are the owner's alone.
    await mkdir(folder.path, { recursive: true, mode: 0o700 });
    await syncFolder(this.#options.jobsFolder);
    await recordJob(folder, spec, specDigest);
    this.#log('job.recorded', spec, {});
    this.#pruneSometimes(spec);
    await this.#startOnce(folder, spec);
    return this.#refOf(folder, spec.name, specDigest);
  }

  /** Takes the claim before any wrapper can, so that a submit that is still on its way starts nothing. */
  async withdraw(name: string): Promise<JobRef | undefined> {
    const folder = jobFolderOf(this.#options.jobsFolder, name);
    await mkdir(folder.path, { recursive: true, mode: 0o700 });
    await syncFolder(this.#options.jobsFolder);
    await this.#states.cancel(folder);
    const record = await readControlFile<JobRecord>(folder.record);
    return record && this.#refOf(folder, name, record.specDigest);
  }

  async describe(ref: JobRef): Promise<JobStatus> {
    const folder = await this.#find(ref);
    const array = await this.#arrayIn(folder);
    if (array) return await this.#describeArray(folder, array);
    const status = await this.#states.of(folder);
    // After the state: a job that has ended has written its last progress.
    const progress = await readControlFile<ProgressRecord>(folder.progress);
    return { ...status, ...(progress && { progress }) };
  }

  async tasks(ref: JobRef): Promise<TaskStatus[]> {
    const folder = await this.#find(ref);
    const array = await this.#arrayIn(folder);
    return array ? await this.#arrays.tasks(folder, array, this.#words) : [];
  }

  async cancel(ref: JobRef): Promise<void> {
    const folder = await this.#find(ref);
    const array = await this.#arrayIn(folder);
    if (!array) {
      await this.#states.cancel(folder);
      return;
    }
    if (await isThere(folder.exit)) return;
    await publishOnce(folder.cancel, JSON.stringify({ at: new Date().toISOString() }));
    for (const open of await this.#arrays.open(folder, array)) await this.#states.cancel(open.folder);
  }

  async logs(ref: JobRef, cursor?: string, task?: number): Promise<LogPage> {
    const whole = await this.#find(ref);
    const array = await this.#arrayIn(whole);
    const shown = array && (task ?? taskToShow(await this.#arrays.tasks(whole, array, this.#words)));
    const folder = shown === undefined ? whole : taskFolderOf(whole, shown);
    // A task of an array that has ended may never have started.
    const ended = (await isThere(folder.exit)) || (folder !== whole && (await isThere(whole.exit)));
    return await readLogPage(folder, cursor, ended);
  }

  async outputs(ref: JobRef): Promise<JobOutputs> {
    const { container, exit } = await this.#find(ref);
    if ((await isThere(exit)) && !(await isThere(container.root)))
      throw new JobNotFound(`job ${ref.name} ended long ago and its files were removed from this host`);
    return {
      modelDirectory: container.model,
      dataDirectory: container.outputData,
      checkpointDirectory: container.checkpoints,
    };
  }

  /** A job more is the moment to remove what old ones left; nobody waits for it, and it may fail. */
  #pruneSometimes(spec: JobSpec): void {
    if (Date.now() < this.#pruneAtMs) return;
    this.#pruneAtMs = Date.now() + pruneEveryMs;
    pruneJobFolders(this.#options.jobsFolder).then(
      ({ ended, files, logs }) => this.#log('jobs.pruned', spec, { ended, files, logs }),
      (error: unknown) => this.#log('jobs.notPruned', spec, { problem: String(error) }),
    );
  }

  #refOf(folder: JobFolder, name: string, specDigest: Digest): JobRef {
    const { host } = this.#options;
    return { runner: 'local', name, specDigest, externalId: folder.path, hostQueue: hostQueue('gpu', host) };
  }

  /** An array whose tasks are not all over: what has a place now is started, then they are counted. */
  async #describeArray(folder: JobFolder, spec: JobSpec): Promise<JobStatus> {
    if (!(await isThere(folder.exit)) && (await isThere(folder.container.root))) await this.#startOnce(folder, spec);
    return await this.#arrays.of(folder, spec, this.#words);
  }

  readonly #words: TaskWords = {
    started: async (folder) => await this.#states.of(folder),
    unstarted: async () => ({ state: 'pending' }),
  };

  /** The spec of an array; undefined for a job without tasks. */
  async #arrayIn(folder: JobFolder): Promise<JobSpec | undefined> {
    const record = await readControlFile<JobRecord>(folder.record);
    return record?.spec.array ? record.spec : undefined;
  }

  #refusal(spec: JobSpec): string | undefined {
    if ((spec.batch?.nodes ?? 1) > 1) return `batch.nodes: asks for ${spec.batch!.nodes}, a local job has one machine`;
    return this.#tooManyGpus(spec);
  }

  #tooManyGpus(spec: JobSpec): string | undefined {
    const { length } = this.#options.gpuLeases.devices;
    return spec.resources.gpus > length
      ? `resources.gpus: asks for ${spec.resources.gpus}, host ${this.#options.host} has ${length}`
      : undefined;
  }

  async #startOnce(folder: JobFolder, spec: JobSpec): Promise<void> {
    const running = this.#starting.get(folder.path);
    if (running) return await running;
    const start = this.#start(folder, spec).finally(() => this.#starting.delete(folder.path));
    this.#starting.set(folder.path, start);
    await start;
  }

  /** Every step may be the last one of this process; the next submit goes on where it stopped. */
  async #start(folder: JobFolder, spec: JobSpec): Promise<void> {
    if ((await isThere(folder.exit)) || (await readClaim(folder))) return;
    if (await isThere(folder.cancel)) {
      if (!spec.array) await this.#states.cancel(folder);
      return;
    }
    if (!(await isThere(folder.container.root))) {
      const { host } = this.#options;
      const facts = { currentHost: host, hosts: [host], networkInterface: 'lo' };
      await stageContainer(folder, spec, this.#options.channels, facts);
    }
    this.#log('job.staged', spec, {});
    if (spec.array) await this.#startTasks(folder, spec);
    else await this.#startWrapper(folder, spec, undefined);
    this.#log('job.claimed', spec, {});
    await removeUnfinishedStaging(folder);
  }

  /** As many tasks as the array's cap and this machine have room for. */
  async #startTasks(folder: JobFolder, spec: JobSpec): Promise<void> {
    await mkdir(folder.logs, { recursive: true });
    const room = Math.min(spec.array!.atOnce, Math.max(1, Math.floor(availableParallelism() / spec.resources.cpus)));
    const started = await startedTasks(folder);
    let running = 0;
    const waiting: number[] = [];
    for (const status of await this.#arrays.tasks(folder, spec, this.#words)) {
      if (hasEnded(status)) continue;
      // A folder without a claim: whoever was to start it died before.
      const claimed = started.has(status.task) && (await readClaim(taskFolderOf(folder, status.task))) !== undefined;
      if (claimed) running += 1;
      else waiting.push(status.task);
    }
    for (const task of waiting.slice(0, Math.max(0, room - running))) await this.#startWrapper(folder, spec, task);
  }

  async #startWrapper(whole: JobFolder, spec: JobSpec, task: number | undefined): Promise<void> {
    const { script, tools } = await this.#prepare();
    const folder = task === undefined ? whole : taskFolderOf(whole, task);
    if (task !== undefined) await makeTaskFolder(folder);
    await startWrapper({
      folder,
      script,
      environment: this.#programEnvironment,
      launch: {
        folder: whole.path,
        ...(task !== undefined && { task }),
        host: this.#options.host,
        tools,
        secrets: await resolveSecrets(spec.environment, this.#options.secrets),
        gpuLeases: this.#options.gpuLeases,
        limits: this.#limits,
      },
      onStarted: (pid) => this.#log('job.wrapperStarted', spec, { pid, ...(task !== undefined && { task }) }),
    });
  }

  #prepare() {
    this.#preparing ??= Promise.all([
      bundleWrapper(this.#options.jobsFolder, localWrapper),
      findTools(this.#programEnvironment),
    ])
      .then(([script, tools]) => ({ script, tools }))
      .catch((error: unknown) => {
        this.#preparing = undefined;
        throw error;
      });
    return this.#preparing;
  }

  async #find(ref: JobRef): Promise<JobFolder> {
    return await findJob(this.#options.jobsFolder, ref, `host ${this.#options.host}`);
  }

  #log(event: string, spec: JobSpec, fields: Record<string, string | number>): void {
    this.#options.log?.(event, { job: spec.name, ...fields });
  }
}
