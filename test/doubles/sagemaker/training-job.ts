import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Container, failureOf, makeFolders } from './container.ts';
import type { LogStreams } from './log-streams.ts';
import { ClientError, type Objects, type S3DataSource } from './objects.ts';

/** The members of CreateTrainingJobRequest that change what happens. */
export interface CreateInput {
  TrainingJobName: string;
  RoleArn: string;
  AlgorithmSpecification: { TrainingImage?: string; ContainerEntrypoint?: string[]; ContainerArguments?: string[] };
  HyperParameters?: Record<string, string>;
  InputDataConfig?: { ChannelName: string; DataSource: { S3DataSource?: S3DataSource } }[];
  OutputDataConfig: { S3OutputPath: string };
  CheckpointConfig?: { S3Uri: string; LocalPath?: string };
  ResourceConfig: { InstanceType: string; InstanceCount: number; KeepAlivePeriodInSeconds?: number };
  StoppingCondition: { MaxRuntimeInSeconds?: number; MaxWaitTimeInSeconds?: number };
  EnableManagedSpotTraining?: boolean;
  Environment?: Record<string, string>;
  Tags?: { Key: string; Value: string }[];
}

export interface Surroundings {
  objects: Objects;
  logs: LogStreams;
  folder: string;
  region: string;
  graceMs: number;
  /** Resolves when there is an instance; `fails`: EC2 has none and says so. */
  acquire: (type: string) => Promise<{ release: () => void } | { fails: string }>;
}

/** TrainingJobStatus and SecondaryStatus: https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_DescribeTrainingJob.html */
type Status = 'InProgress' | 'Completed' | 'Failed' | 'Stopping' | 'Stopped';
type Stage =
  | 'Starting'
  | 'Downloading'
  | 'Training'
  | 'Interrupted'
  | 'Restarting'
  | 'Uploading'
  | 'Stopping'
  | 'Stopped'
  | 'MaxRuntimeExceeded'
  | 'MaxWaitTimeExceeded'
  | 'Completed'
  | 'Failed';

/** Messages of API_DescribeTrainingJob and dg/train-debugger; the others are assumed. */
const messages: Partial<Record<Stage, string>> = {
  Starting: 'Starting the training job',
  Downloading: 'Downloading input data',
  Training: 'Training image download completed. Training in progress.',
  Uploading: 'Uploading generated training model',
  Completed: 'Training job completed',
  Interrupted: 'The job stopped because the managed spot training instances were interrupted.',
  MaxRuntimeExceeded: 'The job stopped because it exceeded the maximum allowed runtime.',
  MaxWaitTimeExceeded: 'The job stopped because it exceeded the maximum allowed wait time.',
};

/** "near real time" (dg/model-checkpoints); how near is assumed. */
const syncEveryMs = 300;

type End = { why: 'exited'; code: number } | { why: 'stopped' | 'interrupted' | 'runtime' };

/** One training job from its creation to its end; its containers really run. */
export class TrainingJob {
  readonly input: CreateInput;
  readonly arn: string;
  readonly createdAt = Date.now();
  status: Status = 'InProgress';
  stage: Stage = 'Starting';
  transitions: { Status: Stage; StartTime: number; EndTime?: number; StatusMessage: string }[] = [];
  failureReason: string | undefined;
  trainingStartedAt: number | undefined;
  endedAt: number | undefined;
  /** Containers that were started, one for each start. */
  starts: Container[] = [];
  readonly done: Promise<void>;
  readonly #around: Surroundings;
  #trainedMs = 0;
  #stop: (why: 'stopped' | 'interrupted' | 'runtime') => void = () => {};
  #stopping: 'stopped' | undefined;

  constructor(input: CreateInput, arn: string, around: Surroundings) {
    this.input = input;
    this.arn = arn;
    this.#around = around;
    this.#enter('Starting');
    this.done = this.#run().catch((error: unknown) => this.#fail(`InternalServerError: ${String(error)}`));
  }

  get isOver(): boolean {
    return this.endedAt !== undefined;
  }

  stop(): void {
    this.#stopping = 'stopped';
    this.status = 'Stopping';
    this.#enter('Stopping');
    this.#stop('stopped');
  }

  /** Spot capacity is taken away. */
  interrupt(): void {
    this.#stop('interrupted');
  }

  async #run(): Promise<void> {
    const { MaxWaitTimeInSeconds: maxWait } = this.input.StoppingCondition;
    for (;;) {
      const stopped = new Promise<'stopped' | 'interrupted' | 'runtime'>((resolve) => {
        this.#stop = resolve;
      });
      if (this.#stopping) return this.#end('Stopped', 'Stopped');
      const waited = new Promise<'waited'>((resolve) => {
        if (maxWait !== undefined)
          setTimeout(() => resolve('waited'), maxWait * 1_000 - (Date.now() - this.createdAt)).unref();
      });
      const machine = this.#around.acquire(this.input.ResourceConfig.InstanceType);
      const got = await Promise.race([machine, stopped, waited]);
      if (typeof got === 'string') {
        void machine.then((late) => 'release' in late && late.release());
        return got === 'waited' ? this.#end('Stopped', 'MaxWaitTimeExceeded') : this.#end('Stopped', 'Stopped');
      }
      if ('fails' in got) return this.#fail(`CapacityError: ${got.fails}`);
      try {
        const end = await this.#runOnce(stopped);
        if (end === undefined) return;
        if (end.why === 'interrupted' && this.input.EnableManagedSpotTraining) {
          this.#enter('Interrupted');
          this.#enter('Restarting');
          continue;
        }
        return await this.#finish(end);
      } finally {
        got.release();
      }
    }
  }

  /** One start of the container, on one machine; undefined when it failed before that. */
  async #runOnce(stopped: Promise<'stopped' | 'interrupted' | 'runtime'>): Promise<End | undefined> {
    const { objects, logs, folder, region, graceMs } = this.#around;
    const { input } = this;
    const root = join(folder, input.TrainingJobName, String(this.starts.length + 1));
    await mkdir(root, { recursive: true });
    this.#enter('Downloading');
    const channels = input.InputDataConfig ?? [];
    await makeFolders(
      root,
      input.HyperParameters ?? {},
      channels.map(({ ChannelName }) => ChannelName),
    );
    try {
      for (const { ChannelName, DataSource } of channels)
        await objects.fetchChannel(DataSource.S3DataSource ?? {}, join(root, 'opt/ml/input/data', ChannelName));
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      this.#fail(`ClientError: ${error.message}`);
      return undefined;
    }
    const checkpoints = join(root, input.CheckpointConfig?.LocalPath ?? '/opt/ml/checkpoints');
    if (input.CheckpointConfig) await objects.fetchFolder(input.CheckpointConfig.S3Uri, checkpoints);
    if (this.#stopping) return { why: 'stopped' };

    this.trainingStartedAt ??= Date.now();
    this.#enter('Training');
    const startedMs = Date.now();
    // Seconds in the name; a restart within one second is later all the same.
    const stream = `${input.TrainingJobName}/algo-1-${Math.floor(startedMs / 1_000) + this.starts.length}`;
    const { ContainerEntrypoint = [], ContainerArguments = [] } = input.AlgorithmSpecification;
    const container = Container.start({
      root,
      argv: [...ContainerEntrypoint, ...ContainerArguments],
      // "Environment variables … TRAINING_JOB_NAME, TRAINING_JOB_ARN" (your-algorithms-training-algo-running-container)
      environment: {
        ...input.Environment,
        TRAINING_JOB_NAME: input.TrainingJobName,
        TRAINING_JOB_ARN: this.arn,
        AWS_REGION: region,
      },
      onLine: (line) => logs.append(stream, line),
    });
    this.starts.push(container);
    const seen = new Map<string, string>();
    let syncing = Promise.resolve();
    const sync = (): Promise<void> => {
      if (input.CheckpointConfig)
        syncing = syncing.then(() =>
          objects.sync(checkpoints, `${input.CheckpointConfig!.S3Uri.replace(/\/?$/, '/')}`, seen),
        );
      return syncing;
    };
    const timer = setInterval(() => void sync(), syncEveryMs);
    const runtime = setTimeout(
      () => this.#stop('runtime'),
      (input.StoppingCondition.MaxRuntimeInSeconds ?? 86_400) * 1_000,
    );
    const why = await Promise.race([stopped, container.ended]);
    if (typeof why === 'string') await container.stop(graceMs);
    clearTimeout(runtime);
    clearInterval(timer);
    await sync();
    this.#trainedMs += Date.now() - startedMs;
    return typeof why === 'string' ? { why } : { why: 'exited', code: why };
  }

  async #finish(end: End): Promise<void> {
    const { objects } = this.#around;
    const { TrainingJobName: name, OutputDataConfig } = this.input;
    const root = this.starts.at(-1)?.root;
    if (root !== undefined) {
      if (end.why !== 'stopped') this.#enter('Uploading');
      // dg/your-algorithms-training-algo-output: model.tar.gz of /opt/ml/model, output.tar.gz of /opt/ml/output/data; that the
      // latter comes for failed jobs too is assumed.
      const base = `${OutputDataConfig.S3OutputPath.replace(/\/$/, '')}/${name}/output`;
      const failed = end.why === 'exited' && end.code !== 0;
      if (!failed) await objects.upload(join(root, 'opt/ml/model'), `${base}/model.tar.gz`);
      await objects.upload(join(root, 'opt/ml/output/data'), `${base}/output.tar.gz`);
    }
    if (end.why === 'runtime') return this.#end('Stopped', 'MaxRuntimeExceeded');
    if (end.why !== 'exited') return this.#end('Stopped', 'Stopped');
    if (end.code === 0) return this.#end('Completed', 'Completed');
    this.#fail(`AlgorithmError: ${await failureOf(root!)}, exit code: ${end.code}`);
  }

  #fail(reason: string): void {
    this.failureReason = reason.slice(0, 1_024);
    this.#end('Failed', 'Failed');
  }

  #end(status: Status, stage: Stage): void {
    this.status = status;
    this.endedAt = Date.now();
    this.#enter(stage);
  }

  #enter(stage: Stage): void {
    const now = Date.now();
    const last = this.transitions.at(-1);
    if (last) last.EndTime = now;
    this.stage = stage;
    this.transitions.push({ Status: stage, StartTime: now, StatusMessage: messages[stage] ?? stage });
  }

  /** DescribeTrainingJobResponse; times are seconds since 1970, as awsJson1.1 has them. */
  describe(): object {
    const { Tags: _tags, ...asked } = this.input;
    const seconds = (ms: number): number => ms / 1_000;
    return {
      ...asked,
      TrainingJobArn: this.arn,
      ModelArtifacts: {
        S3ModelArtifacts: `${this.input.OutputDataConfig.S3OutputPath}/${this.input.TrainingJobName}/output/model.tar.gz`,
      },
      TrainingJobStatus: this.status,
      SecondaryStatus: this.stage,
      SecondaryStatusTransitions: this.transitions.map(({ StartTime, EndTime, ...rest }) => ({
        ...rest,
        StartTime: seconds(StartTime),
        ...(EndTime !== undefined && { EndTime: seconds(EndTime) }),
      })),
      CreationTime: seconds(this.createdAt),
      LastModifiedTime: seconds(this.transitions.at(-1)!.StartTime),
      ...(this.failureReason !== undefined && { FailureReason: this.failureReason }),
      ...(this.trainingStartedAt !== undefined && { TrainingStartTime: seconds(this.trainingStartedAt) }),
      ...(this.endedAt !== undefined && { TrainingEndTime: seconds(this.endedAt) }),
      ...(this.endedAt !== undefined &&
        this.trainingStartedAt !== undefined && {
          TrainingTimeInSeconds: Math.max(1, Math.round((this.endedAt - this.trainingStartedAt) / 1_000)),
          BillableTimeInSeconds: Math.max(1, Math.round(this.#trainedMs / 1_000)),
        }),
    };
  }

  async destroy(): Promise<void> {
    if (!this.isOver) this.stop();
    for (const container of this.starts) await container.kill();
    await this.done;
    await rm(join(this.#around.folder, this.input.TrainingJobName), { recursive: true, force: true });
  }
}
