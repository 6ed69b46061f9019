import type { Digest } from './digest.ts';
import type { FailureClass } from './failures.ts';
import type { JobResources } from './job.ts';
import type { Deployment } from './manifests.ts';

/**
 * Messages of the workflows: one input object and one result object each. They carry digests and small summaries, never
 * rows, tensors or credentials. No zod here: workflows import this file.
 */

/** Who asks, as far as we know: a claimed name, and how it was proven. */
export interface Identity {
  by: string;
}

/** Every request names itself, so that asking twice is asking once. */
export interface Request extends Identity {
  requestId: string;
  reason: string;
}

/** No handler waits for a cycle, a rollout or a person. */
export interface Answer {
  /** What the request became: a cycle's or a rollout's id. */
  id: string;
  state: 'started' | 'queued' | 'refused' | 'done';
  reason: string;
}

// ---------------------------------------------------------------- loop

export interface LoopInput {
  loop: string;
  specDigest: Digest;
  /** Carried over a continue-as-new. */
  state?: LoopState;
}

/** What the loop itself needs of its spec; times in milliseconds. */
export interface LoopPlan {
  model: string;
  endpoint: string | null;
  /** How often to ask the data program; null = a service signals `newData`. */
  pollMs: number | null;
  newRows: number | null;
  liveAccuracyBelow: number | null;
  /** The spec has `triggers.drift` or `triggers.bias`; absent in plans of loops that have neither. */
  monitors?: true;
  minIntervalMs: number;
  cyclesPerDay: number;
  gpuHoursPerDay: number;
  pauseAfterFailures: number;
  cycles: number | null;
  /** What is posted to the webhook of the spec; empty without one. */
  notifyOn: NotifyEvent[];
}

/** What a webhook is told: something waits for a person, or has just been decided without one. */
export const notifyEvents = ['parked', 'rolledBack', 'approvalNeeded', 'paused', 'overBudget'] as const;
export type NotifyEvent = (typeof notifyEvents)[number];

/** One message to whoever is on call. */
export interface Notice {
  /** Said once: a notice that comes again under its key is not posted again, and the receiver can tell it by it too. */
  key: string;
  event: NotifyEvent;
  text: string;
  /** What unblocks it; null when nothing has to be. */
  command: string | null;
}

/** A cycle that has its number and has not been started. */
export interface OpenedCycle {
  n: number;
  /** A cycle belongs to the spec it was opened with, whatever is applied meanwhile. */
  specDigest: Digest;
  reason: string;
  by: string;
}

export interface LoopState {
  version: 1;
  specDigest: Digest;
  /** Null until the spec could be read. */
  plan: LoopPlan | null;
  /** False: what the store knows of this loop has to be read before the next step. */
  loaded: boolean;
  /** Something failed that no retry repairs: it waits for another spec or for `resume`. */
  blocked: { reason: string; sinceMs: number } | null;
  /** The newest entry of the cycles ref: `n` is the last cycle that was opened. */
  cycles: RefPosition | null;
  /** Where the fuse's ref stands. */
  fuse: RefPosition | null;
  /** What the fuse's ref says; null when that is not known. */
  recordedFuse: Pick<LoopState, 'consecutiveFailures' | 'paused'> | null;
  opened: OpenedCycle | null;
  /** A report that came before its cycle was known to have started. */
  earlyReport: CycleFinished | null;
  running: RunningCycle | null;
  /** The one next cycle that requests coalesce into. */
  queued: { id: string; reason: string; by: string; requestedAtMs: number } | null;
  paused: { by: string; reason: string; atMs: number } | null;
  consecutiveFailures: number;
  consecutiveInconclusive: number;
  lastStartedAtMs: number | null;
  last: { n: number; outcome: string; detail: string; endedAtMs: number } | null;
  /** Starts and GPU hours of the last 24 hours; where there are many, `cycles` of them together. */
  recent: { startedAtMs: number; gpuHours: number; cycles?: number }[];
  finishedCycles: number;
  /** New data was announced since the data program was last asked. */
  dataHint: boolean;
  /** When the data program last answered. */
  dataAskedAtMs: number | null;
  /** Key of the last notice that went out. */
  toldKey: string | null;
  answers: [requestId: string, answer: Answer][];
  droppedSignals: number;
}

export interface RunningCycle {
  n: number;
  workflowId: string;
  runId: string;
  reason: string;
  startedAtMs: number;
}

/** A place in a ref's log as workflows carry it: the fence of the next compare-and-set. */
export interface RefPosition {
  entry: number;
  digest: Digest;
  operation: string;
}

export interface LoopStatus {
  loop: string;
  state: 'idle' | 'running' | 'paused' | 'parked' | 'finished';
  specDigest: string;
  running: RunningCycle | null;
  queued: LoopState['queued'];
  paused: LoopState['paused'];
  /** What failed and no retry repairs. */
  blocked: LoopState['blocked'];
  /** Commands that unblock it, one a line, when that is a person's to do. */
  command: string | null;
  last: LoopState['last'];
  consecutiveFailures: number;
  finishedCycles: number;
  /** What the loop waits for, in words. */
  waitsFor: string;
  nextNotBeforeMs: number | null;
  gpuHoursToday: number;
  cyclesToday: number;
  /** When the data program last answered: data announced before that has been looked at. */
  dataAskedAtMs: number | null;
  droppedSignals: number;
}

export interface NewData {
  /** What the sender knows; the data program's cursor decides. */
  rows?: number;
}

export interface SetSpec extends Request {
  specDigest: Digest;
}

export interface CycleFinished {
  n: number;
  outcome: string;
  detail: string;
  /** Counts toward the fuse. */
  failed: boolean;
  inconclusive: boolean;
  gpuHours: number;
}

// ---------------------------------------------------------------- mirror of a registry

/** What a mirror of the registry is about: one candidate of one cycle. */
export interface Registrable {
  /** `sagemaker:<target>`. */
  registry: string;
  loop: string;
  n: number;
  /** Name of the model. */
  model: string;
  candidate: Digest;
  verdict: Digest;
}

/** Whose approval a candidate waits for. */
export interface Approvers {
  by: string[];
  notBy: string | null;
}

/** How a candidate fared. */
export interface RegistryDecision {
  approved: boolean;
  by: string;
  reason: string;
  /** Of ours, when it is approved. */
  version: number | null;
}

export interface RegistryMirrorInput {
  registrable: Registrable;
  cycle: { workflowId: string; runId: string };
  /** Null: no person is asked. */
  approvers: Approvers | null;
}

/** How the cycle ended; an endpoint, when the candidate serves on it. */
export interface CycleEnded {
  outcome: string;
  endpoint: string | null;
}

// ---------------------------------------------------------------- cycle

export interface CycleInput {
  loop: string;
  n: number;
  specDigest: Digest;
  reason: string;
  by: string;
  /** This many inconclusive verdicts in a row came before: after 3 a person is asked. */
  inconclusiveBefore: number;
}

export const cycleStages = [
  'data',
  'parked',
  'train',
  'evaluate',
  'quantize',
  'gate',
  'approval',
  'rollout',
  'done',
] as const;
export type CycleStage = (typeof cycleStages)[number];

export interface CycleStatus {
  loop: string;
  n: number;
  stage: CycleStage;
  sinceMs: number;
  startedAtMs: number;
  /** What it waits for, in words, and the command that unblocks it when that is a person. */
  waitsFor: string;
  command: string | null;
  deadlineMs: number | null;
  /** Markdown: what is known so far. */
  facts: [name: string, value: string][];
}

export interface CycleResult extends CycleFinished {
  report: Digest;
}

export interface RetryCycle extends Request {
  /** Bigger resources than the spec asks for. */
  resources?: Partial<JobResources>;
}

export interface DropData extends Request {
  /** `slice=value`; without it the whole new segment is dropped. */
  slice?: string;
}

export interface DeployFinished {
  requestId: string;
  outcome: 'deployed' | 'rolledBack' | 'refused' | 'withdrawn' | 'superseded';
  reason: string;
  deployment: Digest | null;
}

// ---------------------------------------------------------------- endpoint

export interface EndpointInput {
  endpoint: string;
  state?: EndpointState;
}

export interface RolloutPlan {
  /** Percent, rising. */
  canary: number[];
  atLeastRequests: number;
  atMostMs: number;
  onTimeout: 'rollback' | 'continue';
  /** Fraction: 0.01 = one percentage point. */
  errorRateMargin: number;
  /** Relative: 0.5 = +50 %. */
  latencyP99Relative: number;
  probation: { forMs: number; accuracyLoss: number } | null;
}

export interface DeployRequest extends Request {
  model: Digest;
  modelName: string;
  loop: string;
  version: number;
  /** A person approved this version: it may be a rollback target at once. */
  approvedByPerson: boolean;
  plan: RolloutPlan;
  /** Workflow that gets `deployFinished`. */
  replyTo: string | null;
}

export interface WithdrawRequest extends Request {
  /** Request id of the deploy. */
  deploy: string;
}

export interface ShadowRequest extends Request {
  /** Name of the shadow variant. */
  name: string;
  /** Null takes it away. */
  model: Digest | null;
}

export interface ServedModel {
  model: Digest;
  modelName: string;
  version: number;
  sinceMs: number;
}

/** How a rollout ends, or what a rollback makes of a version: decided at once, then written step by step. */
export interface RolloutEnding {
  requestId: string;
  model: Digest;
  modelName: string;
  by: string;
  outcome: 'deployed' | 'rolledBack' | 'withdrawn';
  reason: string;
  steps: Deployment['steps'];
  /** What is the champion from now on; null leaves it. */
  champion: Digest | null;
  /** The request whose cycle has to be told; null when nobody waits. */
  request: DeployRequest | null;
}

export interface EndpointState {
  version: 1;
  /** False: what the store says has to be read before the next step. */
  loaded: boolean;
  /** Something failed that no retry repairs: it waits for a word (`unfreeze`, `rollback`). */
  blocked: { reason: string; sinceMs: number } | null;
  /** Shadows or the freeze changed and the desired state does not say so yet. */
  desiredIsStale: boolean;
  /** A rollout, or a rollback, that is decided and not yet carried out to its end. */
  ending: RolloutEnding | null;
  /** The last time that somebody moved the desired state by hand. */
  adopted: { by: string; reason: string; model: Digest | null; atMs: number } | null;
  /** What whoever is on call has not heard yet, oldest first; `loop` is the one whose webhook hears it. */
  notices?: { loop: string; notice: Notice }[];
  /** The loop that asked for a rollout last: its webhook hears of what happens without a cycle. */
  lastLoop?: string;
  /** The newest desired state that this workflow wrote or adopted. */
  desired: RefPosition | null;
  generation: number;
  /** Takes the traffic. */
  current: ServedModel | null;
  /** Where a rollback goes: finished probation or approved by a person, else the version before. */
  stable: ServedModel | null;
  /** Gets `weight` percent while a rollout runs. */
  candidate: (ServedModel & { weight: number; request: DeployRequest }) | null;
  shadows: { name: string; model: Digest }[];
  queue: DeployRequest[];
  probation: { request: DeployRequest; startedAtMs: number } | null;
  /** Where the champion ref stood when this workflow last read or moved it. */
  champion: RefPosition | null;
  /** An operator's rollback that waits to be carried out. */
  rollbackAsked: { requestId: string; by: string; reason: string } | null;
  /** Requests that ended and whose cycles have not been told yet. */
  outbox: { replyTo: string; message: DeployFinished }[];
  frozen: { by: string; reason: string; at: string } | null;
  barred: Digest[];
  last: { model: Digest; outcome: string; reason: string; atMs: number } | null;
  answers: [requestId: string, answer: Answer][];
}

export interface EndpointStatus {
  endpoint: string;
  generation: number;
  current: ServedModel | null;
  stable: ServedModel | null;
  shadows: EndpointState['shadows'];
  candidate: (ServedModel & { weight: number }) | null;
  probation: { model: Digest; version: number; startedAtMs: number } | null;
  queued: { requestId: string; version: number; loop: string }[];
  frozen: EndpointState['frozen'];
  blocked: EndpointState['blocked'];
  adopted: EndpointState['adopted'];
  /** What unblocks it, when that is a person's to do. */
  command: string | null;
  barred: Digest[];
  last: EndpointState['last'];
}

// ---------------------------------------------------------------- job

export interface JobInput {
  /** `<loop>/<n>/<step>`; attempts are numbered below it. */
  key: string;
  /** Where the JobSpec lies; its name and resources are replaced for each attempt. */
  specDigest: Digest;
  /** Task queue of the runner: `gpu` or `hpc`. */
  queue: 'gpu' | 'hpc';
  resources: JobResources;
  /** Escalation on `outOfMemory` and `timeLimit` ends here. */
  maxResources: JobResources;
  /** First attempt number: it rises when a person retries a parked job. */
  firstAttempt: number;
  /** The spec has an array: tasks that failed are tried again, the others are not. */
  array?: true;
  /** How the array's tasks stood before this job: the spec has those alone that are to run. */
  tasksBefore?: Digest;
  /** After `preempted` and `capacity` the next one has its turn. */
  partitions?: string[];
  /** How often a class is tried again at most; what is not named keeps its own rule. */
  retries?: Partial<Record<FailureClass, number>>;
}

export interface JobResult {
  state: 'succeeded' | 'failed';
  attempts: number;
  lastAttempt: number;
  failureClass: FailureClass | null;
  reason: string;
  /** Files of the model folder, as a blob that lists them. */
  model: Digest | null;
  /** Files of the output data folder, likewise. */
  output: Digest | null;
  metrics: Record<string, number>;
  /** The end of what the job printed, when it left an output folder. */
  lastLines?: string;
  /** Of an array, over all attempts. */
  tasks?: { total: number; succeeded: number; manifest: Digest };
  gpuHours: number;
  durationMs: number;
}

export interface JobWorkflowStatus {
  key: string;
  attempt: number;
  state: 'submitting' | 'running' | 'collecting' | 'waiting' | 'ended';
  /** Runner's own id, once submitted. */
  externalId: string | null;
  lastFailure: string | null;
}

// ---------------------------------------------------------------- kick

export interface KickInput {
  loop: string;
  reason: string;
}
