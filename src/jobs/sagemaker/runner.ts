import { readFile } from 'node:fs/promises';
import type { DescribeTrainingJobResponse } from '@aws-sdk/client-sagemaker';
import { AwsRefused, AwsUnavailable } from '../../aws/errors.ts';
import type { Digest } from '../../contracts/digest.ts';
import type { JobOutputs, JobRef, JobRunner, JobSpec, JobStatus, LogPage } from '../../contracts/job.ts';
import type { SageMakerTarget } from '../../contracts/sagemaker-target.ts';
import { canonicalBytes, digestOf } from '../../store/canonical-json.ts';
import type { Store } from '../../store/types.ts';
import { JobConflict, JobNotFound } from '../errors.ts';
import { runnableSpec } from '../local/job-record.ts';
import type { WrapperLimits } from '../local/launch.ts';
import { bundleWrapper } from '../local/wrapper-bundle.ts';
import type { SecretSource } from '../secrets.ts';
import type { JobBucket } from './job-bucket.ts';
import type { JobLogs } from './job-log.ts';
import { isOver, judge } from './judge.ts';
import type { CancelRecord, LaunchRecord } from './launch-record.ts';
import { type JobKeys, jobKeys, secretsVariable, trainingJobName } from './names.ts';
import { OutputFolders } from './output-folders.ts';
import { notForSageMaker } from './request.ts';
import { secretsId } from './sealed-secrets.ts';
import { type RefusalRecord, type SubmissionDeps, sameSpec, submitTraining } from './submission.ts';
import type { TrainingApi } from './training-api.ts';

export interface SageMakerRunnerOptions {
  /** The target's name: `prod` of `sagemaker:prod`. */
  name: string;
  target: SageMakerTarget;
  training: TrainingApi;
  logs: JobLogs;
  bucket: JobBucket;
  /** Keys of jobs begin so; ends with a slash. */
  prefix: string;
  store: Pick<Store, 'blobs'>;
  /** Where a blob lies in the bucket. */
  keyOfBlob: (digest: Digest) => string;
  secrets: SecretSource;
  /** On this machine: the launcher, and what jobs left until it is in the store. */
  folder: string;
  limits?: Partial<WrapperLimits>;
  /** From a job's end to the belief that its log will not tell more: CloudWatch shows lines late. */
  settleMs?: number;
  log?: (event: string, fields: Record<string, string | number>) => void;
}

const defaultLimits: WrapperLimits = {
  // SageMaker kills 120 s after its SIGTERM (API_StopTrainingJob); what is saved has to reach S3 within it.
  graceMs: 100_000,
  renewWithinMs: 60_000,
  watchEveryMs: 200,
  memoryCheckEveryMs: 1_000,
  logCapBytes: 16 * 2 ** 20,
};
const defaultSettleMs = 30_000;
const pollGrowth = 1.5;

interface Look {
  status: JobStatus;
  stage: string;
  everyMs: number;
  nextMs: number;
}

/**
 * Runs jobs as SageMaker training jobs. A job's memory is its name in SageMaker and a prefix of the store's bucket; nothing
 * of it is on the worker, so any worker finds it again.
 */
export function createSageMakerRunner(options: SageMakerRunnerOptions): JobRunner {
  return new SageMakerRunner(options);
}

class SageMakerRunner implements JobRunner {
  readonly kind = 'sagemaker';
  readonly #options: SageMakerRunnerOptions;
  readonly #submission: SubmissionDeps;
  readonly #outputs: OutputFolders;
  /** Submits of one job in this process share one start. */
  readonly #starting = new Map<string, Promise<void>>();
  /** The last look at each job that is alive: AWS is asked as often as the target says, whoever asks here. */
  readonly #looks = new Map<string, Look>();
  #launcher: Promise<Uint8Array> | undefined;

  constructor(options: SageMakerRunnerOptions) {
    const { target, training, bucket, store, keyOfBlob, secrets, folder, limits, log = () => {} } = options;
    this.#options = options;
    this.#outputs = new OutputFolders(bucket, folder);
    this.#submission = {
      ...{ target, training, bucket, store, keyOfBlob, secrets, log },
      limits: { ...defaultLimits, ...limits },
      launcher: () => this.#bundledLauncher(),
      nameOf: (jobName) => this.#nameOf(jobName),
    };
  }

  async submit(input: JobSpec): Promise<JobRef> {
    const spec = runnableSpec(input, notForSageMaker);
    const specDigest = digestOf(canonicalBytes(spec));
    const name = this.#nameOf(spec.name);
    const key = `${name} ${specDigest}`;
    const start =
      this.#starting.get(key) ??
      submitTraining(this.#submission, spec, specDigest, name, this.#keysOf(name)).finally(() =>
        this.#starting.delete(key),
      );
    this.#starting.set(key, start);
    await start;
    return this.#refOf(spec.name, specDigest);
  }

  async describe(ref: JobRef): Promise<JobStatus> {
    const name = this.#nameOf(ref.name);
    const known = this.#looks.get(name);
    if (known && performance.now() < known.nextMs) return known.status;
    return await whileItRuns(async () => {
      const status = await this.#look(ref, name);
      this.#remember(name, status);
      return status;
    });
  }

  async cancel(ref: JobRef): Promise<void> {
    await whileItRuns(async () => {
      const name = this.#nameOf(ref.name);
      const job = await this.#options.training.describe(name);
      if (job) sameSpec(job, ref);
      if (job && isOver(job)) return;
      await this.#stop(name);
    });
  }

  async withdraw(jobName: string): Promise<JobRef | undefined> {
    const name = this.#nameOf(jobName);
    await this.#stop(name);
    const record = await this.#options.bucket.read<LaunchRecord>(this.#keysOf(name).record);
    return record && this.#refOf(jobName, record.specDigest);
  }

  async logs(ref: JobRef, cursor?: string): Promise<LogPage> {
    const { state } = await this.describe(ref);
    const over = state === 'succeeded' || state === 'failed' || state === 'cancelled';
    return await this.#options.logs.page(this.#nameOf(ref.name), cursor, over);
  }

  async outputs(ref: JobRef): Promise<JobOutputs> {
    const name = this.#nameOf(ref.name);
    const job = await this.#options.training.describe(name);
    if (job) sameSpec(job, ref);
    return await this.#outputs.of(name, this.#keysOf(name), job === undefined || isOver(job));
  }

  /** The marker first: it stops a container that a create, still on its way, will start. */
  async #stop(name: string): Promise<void> {
    const { bucket, training } = this.#options;
    const record: CancelRecord = { at: new Date().toISOString() };
    await bucket.putOnce(this.#keysOf(name).cancelled, JSON.stringify(record));
    await training.stop(name);
    this.#looks.delete(name);
  }

  async #look(ref: JobRef, name: string): Promise<JobStatus> {
    const { training, logs, bucket, settleMs = defaultSettleMs } = this.#options;
    const keys = this.#keysOf(name);
    const job = await training.describe(name);
    if (!job) return await this.#notCreated(ref, keys);
    sameSpec(job, ref);
    const { progress, exit } = hasStarted(job) ? await logs.listen(name) : {};
    const status = { ...judge(job, exit), ...(progress && { progress }) };
    if (!isOver(job)) return status;
    const endedMs = (job.TrainingEndTime ?? job.LastModifiedTime)?.getTime() ?? 0;
    // The launcher's last word is on its way.
    if (hasStarted(job) && !exit && Date.now() - endedMs < settleMs)
      return {
        state: 'running',
        ...(status.stage !== undefined && { stage: status.stage }),
        ...(progress && { progress }),
      };
    logs.forget(name);
    const opener = job.Environment?.[secretsVariable];
    if (opener !== undefined) await bucket.remove(keys.secrets(secretsId(opener)));
    return status;
  }

  /** There is no training job, and the bucket knows why. Throws `JobNotFound` for what nobody has submitted. */
  async #notCreated({ name, specDigest }: JobRef, keys: JobKeys): Promise<JobStatus> {
    const { bucket, target } = this.#options;
    const record = await bucket.read<LaunchRecord>(keys.record);
    if (!record) throw new JobNotFound(`no job ${name} on sagemaker:${this.#options.name} in ${target.region}`);
    if (record.specDigest !== specDigest)
      throw new JobConflict(`job ${name} has spec ${record.specDigest}, and the reference names ${specDigest}`);
    const refused = await bucket.read<RefusalRecord>(keys.refused);
    if (refused) return { state: 'failed', failureClass: 'capacity', reason: refused.reason, endedAt: refused.at };
    const cancelled = await bucket.read<CancelRecord>(keys.cancelled);
    if (cancelled) return { state: 'cancelled', reason: 'cancelled before it started', endedAt: cancelled.at };
    return { state: 'pending' };
  }

  #remember(name: string, status: JobStatus): void {
    const { fromMs, toMs } = this.#options.target.poll;
    const before = this.#looks.get(name);
    if (status.endedAt !== undefined) {
      this.#looks.delete(name);
      return;
    }
    const stage = `${status.state} ${status.stage}`;
    const everyMs = before?.stage === stage ? Math.min(toMs, before.everyMs * pollGrowth) : fromMs;
    this.#looks.set(name, { status, stage, everyMs, nextMs: performance.now() + everyMs });
  }

  #bundledLauncher(): Promise<Uint8Array> {
    this.#launcher ??= bundleWrapper(this.#options.folder, new URL('./launcher.ts', import.meta.url))
      .then((path) => readFile(path))
      .catch((error: unknown) => {
        this.#launcher = undefined;
        throw error;
      });
    return this.#launcher;
  }

  #nameOf(jobName: string): string {
    const { bucket, prefix } = this.#options;
    return trainingJobName(`s3://${bucket.name}/${prefix}`, jobName);
  }

  #keysOf = (name: string): JobKeys => jobKeys(this.#options.prefix, name);

  #refOf = (name: string, specDigest: Digest): JobRef => ({
    runner: 'sagemaker',
    name,
    specDigest,
    externalId: `${this.#options.name}/${this.#nameOf(name)}`,
  });
}

/** A container has run, so there is a log to read. */
const hasStarted = ({ SecondaryStatusTransitions: transitions = [] }: DescribeTrainingJobResponse): boolean =>
  transitions.some(({ Status }) => Status === 'Training');

/**
 * A job that runs must not be given up because its watcher is refused for a while (credentials that somebody else renews,
 * a policy that was changed): that is tried again, with AWS's words in sight.
 */
async function whileItRuns<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof AwsRefused) throw new AwsUnavailable(error.message);
    throw error;
  }
}
