import { z } from 'zod';
import { ArtifactFile, Digest, isSafeRelativePath } from './digest.ts';
import { type FailureClass, failureClasses } from './failures.ts';
import { tasksPattern } from './workload-array.ts';

/** A value that is resolved where the job starts; the reference, never the value, is in history, argv and logs. */
export const SecretRef = z.strictObject({ secret: z.string().min(1).max(128) });
export type SecretRef = z.infer<typeof SecretRef>;

/** Resources of one job. Times in milliseconds, memory in bytes. */
export const JobResources = z.strictObject({
  gpus: z.number().int().min(0).max(1024),
  cpus: z.number().int().min(1).max(4096),
  memoryBytes: z.number().int().positive(),
  timeLimitMs: z.number().int().positive(),
});
export type JobResources = z.infer<typeof JobResources>;

const environmentName = z.string().regex(/^[A-Z_][A-Z0-9_]*$/, 'expected an environment name in capitals');
const channelName = z.string().regex(/^[a-z][a-z0-9_]{0,62}$/, 'expected a channel name in lower case');

const batchName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, 'expected letters, digits, "_", "." and "-", at most 64 characters');

/** Features of `--constraint`: `efa`, `intel&gpu`, `rack1|rack2`. */
export const batchConstraint = z
  .string()
  .regex(/^[A-Za-z0-9_.]+([&|][A-Za-z0-9_.]+){0,9}$/, 'expected features joined by "&" or "|", such as "efa&intel"');

/** What only a batch system can give; a local runner starts the same program on one machine. */
export const JobBatch = z.strictObject({
  /** `resources` are then per task (cpus) and per node (memory, gpus). */
  nodes: z.number().int().min(1).max(10_000),
  tasks: z.number().int().min(1).max(1_000_000),
  tasksPerNode: z.number().int().min(1).max(4_096).optional(),
  /** What starts one process a task; absent: the program is started once, on the first node. */
  launcher: z.enum(['srun', 'mpirun']).optional(),
  partition: batchName.optional(),
  account: batchName.optional(),
  qos: batchName.optional(),
  reservation: batchName.optional(),
  constraint: batchConstraint.optional(),
  exclusive: z.literal(true).optional(),
  /** Still in the queue after this: class `capacity`, and the next partition has its turn. */
  startWithinMs: z.number().int().positive().optional(),
});
export type JobBatch = z.infer<typeof JobBatch>;

/**
 * What a program needs to run anywhere under the SageMaker container contract (DESIGN §4): the same spec is a local
 * process, a Slurm job or a SageMaker training job.
 */
export const JobSpec = z.strictObject({
  /** The idempotency key: `<loop>/<n>/<step>/<attempt>` for a cycle's jobs. */
  name: z
    .string()
    .min(1)
    .max(256)
    .regex(/^[A-Za-z0-9][A-Za-z0-9._/-]*$/),
  /** argv; nothing passes through a shell. */
  program: z.array(z.string().min(1)).min(1),
  /** Absolute folder that relative paths in `program` start from (for a loop: the folder of its file). */
  workingDirectory: z.string().min(1),
  environment: z.record(environmentName, z.union([z.string(), SecretRef])),
  /** Strings, as SageMaker passes them; ≤ 100. */
  hyperparameters: z.record(z.string().min(1).max(256), z.string().max(2500)),
  /** Input files by channel: `SM_CHANNEL_<NAME>` is a folder with these files. */
  channels: z.record(channelName, z.array(ArtifactFile)),
  /** Files to place in the checkpoints folder before the first start (resume from an earlier attempt). */
  checkpoint: z.array(ArtifactFile).optional(),
  resources: JobResources,
  /** No progress line for this long: cancelled, class `stalled`. */
  progressTimeoutMs: z.number().int().positive(),
  /** Scheduling priority of a local process, 0 (normal) to 19 (lowest). */
  nice: z.number().int().min(0).max(19),
  /** `slurm:<target>` or `sagemaker:<target>` on the hpc queue; absent: the runner of the queue. */
  runsOn: z
    .string()
    .regex(/^(?:slurm|sagemaker):[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/)
    .optional(),
  /** What an exit 0 must have left behind, in `SM_MODEL_DIR` or `SM_OUTPUT_DATA_DIR`; without it the job failed. */
  expects: z.enum(['model', 'output']).optional(),
  /** Files that an exit 0 must have left in `SM_OUTPUT_DATA_DIR`, by relative path. */
  leaves: z.array(z.string().refine(isSafeRelativePath, 'expected a relative path without ".."')).optional(),
  /** One job of many tasks; each runs the program with its number, its own claim and its own end. */
  array: z
    .strictObject({ tasks: z.string().regex(tasksPattern), atOnce: z.number().int().min(1).max(10_000) })
    .optional(),
  batch: JobBatch.optional(),
  /** `${output}`, `${channel.data}` … in program and environment are filled in where it starts (src/jobs/places.ts). */
  fillsIn: z.literal(true).optional(),
});
export type JobSpec = z.infer<typeof JobSpec>;

export const runnerKinds = ['local', 'slurm', 'sagemaker'] as const;
export type RunnerKind = (typeof runnerKinds)[number];

/** Enough to find the job again from any worker. */
export const JobRef = z.strictObject({
  runner: z.enum(runnerKinds),
  name: z.string(),
  specDigest: Digest.transform((d) => d as Digest),
  /** The runner's own id: a job folder, a Slurm job id, an ARN. */
  externalId: z.string(),
  /** Task queue of the host that holds the job, for runners that need one. */
  hostQueue: z.string().optional(),
});
export type JobRef = z.infer<typeof JobRef>;

export const jobStates = ['pending', 'running', 'succeeded', 'failed', 'cancelled', 'unknown'] as const;
export type JobState = (typeof jobStates)[number];

/** The last progress line the program printed: `{"progress": 0.4, "epoch": 2, "loss": 0.31}`. */
export interface JobProgress {
  /** Share of the work that is done, 0 to 1. */
  fraction: number;
  /** ISO time at which the wrapper read it. */
  at: string;
  metrics: Record<string, number>;
}

export interface JobStatus {
  state: JobState;
  failureClass?: FailureClass;
  /** What a person should read: the `failure` file, else the last lines of stderr. */
  reason?: string;
  exitCode?: number;
  signal?: string;
  progress?: JobProgress;
  startedAt?: string;
  endedAt?: string;
  /** The runner's own word for where the job is: SageMaker's `Downloading`, `Interrupted`. */
  stage?: string;
  /** What the cloud will put on the bill so far. */
  billableSeconds?: number;
  /** Of an array: how many tasks are in each state. */
  tasks?: Partial<Record<JobState, number>>;
}

/** One task of an array. */
export interface TaskStatus extends JobStatus {
  task: number;
}

export interface LogPage {
  lines: string[];
  /** Pass back to read on; equal to the one given when there is nothing new. */
  cursor: string;
  /** The job has ended and everything was read. */
  complete: boolean;
}

/** Where a succeeded job left its results, until `collect` puts them in the store. */
export interface JobOutputs {
  /** Absolute folder of `SM_MODEL_DIR`. */
  modelDirectory: string;
  /** Absolute folder of `SM_OUTPUT_DATA_DIR`. */
  dataDirectory: string;
  /** Absolute folder of checkpoints. */
  checkpointDirectory: string;
}

/** One contract for local processes, Slurm and SageMaker; a conformance suite holds every runner to it (DESIGN §4). */
export interface JobRunner {
  readonly kind: RunnerKind;
  /** Idempotent: the same name and spec finds its job; the same name with another spec throws `JobConflict`. */
  submit(spec: JobSpec): Promise<JobRef>;
  describe(ref: JobRef): Promise<JobStatus>;
  /**
   * Cancels by name, for one who never learnt what became of his submit. Also a submit that comes later finds the job
   * cancelled. Undefined: there is no job of that name. Without it, `submit` and `cancel` have to do.
   */
  withdraw?(name: string, runsOn?: string): Promise<JobRef | undefined>;
  /** Returns once the cancel is recorded; `describe` says when the job is gone. Cancelling an ended job does nothing. */
  cancel(ref: JobRef): Promise<void>;
  /** @param task of an array; absent: the first that failed, else the first that has started */
  logs(ref: JobRef, cursor?: string, task?: number): Promise<LogPage>;
  /** Every task of an array; runners without arrays refuse a spec that has one. */
  tasks?(ref: JobRef): Promise<TaskStatus[]>;
  outputs(ref: JobRef): Promise<JobOutputs>;
}

export const FailureClassSchema = z.enum(failureClasses);
