import type { Digest } from './digest.ts';
import type { DesiredState } from './endpoint.ts';
import type { FailureClass } from './failures.ts';
import type { JobRef, JobResources } from './job.ts';
import type { CycleReport, Deployment } from './manifests.ts';
import type {
  Answer,
  Approvers,
  CycleFinished,
  CycleInput,
  DeployRequest,
  LoopPlan,
  Notice,
  NotifyEvent,
  OpenedCycle,
  RefPosition,
  Registrable,
  RegistryDecision,
  Request,
  RolloutPlan,
} from './messages.ts';
import type { verdictResults } from './verdict.ts';

/**
 * What workflows may ask of the world: one interface per step, one object in, one object out. The factories in
 * `src/activities` implement them; tests give workflows other ones.
 */

/** `loop`, on the control queue. */
export interface LoopActivities {
  /** Everything a loop needs to go on where an earlier life of it stopped, be it on an empty Temporal. */
  loadLoop(input: { loop: string; specDigest: Digest }): Promise<LoopInStore>;
  /** What a spec means for its loop; fails where it cannot be read. */
  readPlan(input: { loop: string; specDigest: Digest }): Promise<{ plan: LoopPlan }>;
  /** Takes the next cycle number: entry `expected + 1` of the cycles ref, created exclusively. */
  openCycle(input: {
    loop: string;
    expected: RefPosition | null;
    specDigest: Digest;
    operation: string;
    reason: string;
    by: string;
  }): Promise<RefPosition>;
  /** Is the cycle's workflow still open? A terminated one counts as failed. */
  describeCycle(input: {
    workflowId: string;
    runId: string | null;
  }): Promise<{ open: boolean; status: string; runId: string }>;
  /** Writes the report of a cycle that could not write its own; what it wrote itself stays, and is what it came to. */
  reportLostCycle(input: {
    loop: string;
    n: number;
    reason: string;
    startedAtMs: number;
    detail: string;
  }): Promise<CycleFinished>;
  recordFuse(input: {
    loop: string;
    expected: RefPosition | null;
    consecutiveFailures: number;
    paused: { by: string; reason: string; atMs: number } | null;
    operation: string;
  }): Promise<RefPosition>;
  /** What a Schedule's kick asks; it never starts a loop. */
  requestRetrain(input: { loop: string; request: Request }): Promise<Answer>;
}

/** What the store knows of a loop. */
export interface LoopInStore {
  plan: LoopPlan;
  cycles: RefPosition | null;
  /** The last opened cycle has no report: it is run again under its number, with the spec it was opened with. */
  unfinished: OpenedCycle | null;
  fuse: {
    position: RefPosition | null;
    consecutiveFailures: number;
    paused: { by: string; reason: string; atMs: number } | null;
  };
  finishedCycles: number;
  /** Starts within the last day, so that limits hold across lives. */
  recent: { startedAtMs: number; gpuHours: number }[];
}

/** `notify`, on the control queue. */
export interface NotifyActivities {
  /**
   * Posts a notice to the webhook of the spec, once for its key; a webhook that is away is tried again. Without a spec it
   * is the one that the loop has now: who speaks of an endpoint carries none.
   */
  notify(input: { loop: string; n: number | null; specDigest: Digest | null; notice: Notice }): Promise<void>;
}

/** `data`, on the cpu queue. */
export interface DataActivities {
  /**
   * Asks the data program what is new since the accepted dataset. With `waitMs`, "nothing to do yet" is a benign failure
   * that is retried after it: waiting costs neither history nor a slot. A program that is broken look after look fails for
   * good, so that the loop parks; everything else is asked again.
   */
  probeData(input: {
    loop: string;
    specDigest: Digest;
    waitMs: number | null;
  }): Promise<{ newRows: number; trigger: string | null }>;
  /** Runs the data program from the dataset's cursor and appends a segment. `newRows` 0: nothing new, same dataset. */
  snapshotData(input: { plan: CyclePlan }): Promise<SnapshotResult>;
  /** Before training: sizes, classes, duplicates, and the champion's live answers against the new labels. */
  checkData(input: { plan: CyclePlan; dataset: Digest }): Promise<{ problems: DataProblem[] }>;
  /** The newest segment without a slice's rows, or without all of them; the cursor stays. */
  dropData(input: { plan: CyclePlan; dataset: Digest; slice: string | null }): Promise<SnapshotResult>;
  /** Moves the loop's dataset ref; the cursor moves with it. */
  acceptData(input: { plan: CyclePlan; dataset: Digest; by: string; reason: string }): Promise<void>;
}

export interface SnapshotResult {
  dataset: Digest;
  rowCount: number;
  newRows: number;
  trainRows: number;
  holdoutRows: number;
}

export interface DataProblem {
  check: string;
  slice: string | null;
  rows: number;
  message: string;
}

/** `cycle`, on the control queue. */
export interface CycleActivities {
  beginCycle(input: CycleInput): Promise<CyclePlan>;
  /** Appends the approved model to the registry; its number is the version. */
  registerVersion(input: {
    plan: CyclePlan;
    candidate: Digest;
    verdict: Digest;
    by: string;
    reason: string;
    byPerson: boolean;
  }): Promise<{ version: number }>;
  /** For a model without an endpoint: the approved version is the champion. */
  crownChampion(input: { plan: CyclePlan; candidate: Digest; by: string; reason: string }): Promise<void>;
  requestDeploy(input: { endpoint: string; request: DeployRequest }): Promise<Answer>;
  withdrawDeploy(input: { endpoint: string; deploy: string; reason: string; by: string }): Promise<Answer>;
  closeCycle(input: { plan: CyclePlan | null; input: CycleInput; draft: ReportDraft }): Promise<{
    report: Digest;
    /** What the report in the store says: it may be one that an earlier life of the cycle wrote. */
    finished: CycleFinished;
  }>;
}

export type { NotifyEvent } from './messages.ts';

/** `registryMirror`, on the control queue: what no retry repairs a person may, so each is tried until it works. */
export interface RegistryActivities {
  /** The candidate as a package that waits for approval; found again when it is there. */
  publishPackage(input: Registrable): Promise<{ packageArn: string }>;
  /**
   * Waits, by failing benignly, until somebody decides in the registry, and then asks the cycle. A word that the cycle
   * refuses is taken back there. Returns when the cycle took it, or has ended.
   */
  awaitRegistryApproval(input: {
    packageArn: string;
    registrable: Registrable;
    approvers: Approvers;
  }): Promise<{ said: 'approve' | 'reject' | 'nothing'; by: string }>;
  /** What the cycle decided, in the registry and in the store. */
  writeApproval(input: { packageArn: string; registrable: Registrable; decision: RegistryDecision }): Promise<void>;
  /** Dataset, training, model, and the endpoint where it serves, as the registry's lineage; each once. */
  traceLineage(input: { packageArn: string; registrable: Registrable; endpoint: string | null }): Promise<void>;
}

/** What the cycle knows at its end; the activity adds times and parents. */
export type ReportDraft = Omit<CycleReport, 'kind' | 'parents' | 'createdAt' | 'phasesMs' | 'endedAt'>;

/** The spec and the refs as they were when the cycle began: the fence of everything that it will write. */
export interface CyclePlan {
  loop: string;
  n: number;
  specDigest: Digest;
  model: string;
  endpoint: string | null;
  dataset: RefPosition | null;
  champion: RefPosition | null;
  anchor: RefPosition | null;
  /** The champion's model, unless this cycle starts from scratch (`freshEvery`). */
  warmStart: Digest | null;
  quantizeMargin: number | null;
  /** Newest hold-out rows to score; grows while verdicts stay inconclusive. */
  holdoutNewest: number;
  onInconclusive: 'hold' | 'ask';
  approval: 'auto' | { by: string[]; notBy: string | null; withinMs: number; onTimeout: 'reject' | 'park' };
  rollout: RolloutPlan | null;
  resources: JobResources;
  maxResources: JobResources;
  /** The user's evaluation program runs as a job for every contestant; absent: there is none. */
  evaluation?: { resources: JobResources; maxResources: JobResources };
  notifyOn: NotifyEvent[];
  /** `sagemaker:<target>`: its model registry mirrors what this cycle registers; absent: none does. */
  registry?: string;
}

/** `train`, `evaluate`, `quantize`, `gate`, on the cpu queue. */
export interface TrainActivities {
  /** Writes the JobSpec of the fine-tune. */
  prepareTraining(input: { plan: CyclePlan; dataset: Digest }): Promise<{
    specDigest: Digest;
    trainRows: number;
    /** Where the spec wants to run; absent: gpu. */
    queue?: 'gpu' | 'hpc';
  }>;
  /** Run and Model manifests of a finished job; their lineage is what `prepareTraining` decided on. */
  registerModel(input: {
    plan: CyclePlan;
    dataset: Digest;
    jobKey: string;
    jobSpec: Digest;
    files: Digest;
    metrics: Record<string, number>;
    durationMs: number;
    attempts: number;
  }): Promise<{ model: Digest; sizeBytes: number }>;
}

export interface EvaluateActivities {
  /** The newest hold-out rows: the same for every contestant of the cycle. */
  selectHoldout(input: { plan: CyclePlan; dataset: Digest }): Promise<{ rows: Digest; rowCount: number }>;
  /** Writes the JobSpec of the evaluation program for one model. The key names model, rows and program. */
  prepareEvaluation(input: {
    plan: CyclePlan;
    model: Digest;
    rows: Digest;
  }): Promise<{ key: string; specDigest: Digest }>;
  /**
   * Scores a model. Whatever fails in it is said about the model, which is then not servable: the gate fails a candidate
   * and does not guess about a champion. Throws `BadEvaluation` for the output of a program that cannot be judged.
   */
  evaluateModel(input: {
    plan: CyclePlan;
    model: Digest;
    dataset: Digest;
    rows: Digest;
    /** What the evaluation program left, or why it failed on this model. */
    program?: EvaluationRun | { problem: string };
  }): Promise<{
    evaluation: Digest;
    servable: boolean;
    summary: Record<string, number | null>;
  }>;
}

/** A finished job of the evaluation program. */
export interface EvaluationRun {
  job: string;
  jobSpec: Digest;
  /** Files of its output folder, as a blob that lists them. */
  output: Digest;
  /** The end of what it printed. */
  lastLines: string;
}

export interface QuantizeActivities {
  /** `quantized` 0: nothing could be, and `model` is the one that was given. */
  quantizeModel(input: { plan: CyclePlan; model: Digest }): Promise<{
    model: Digest;
    sizeBytes: number;
    sizeBefore: number;
    quantized: number;
    skipped: number;
    /** Only where the spec asks for one: trials made, nodes that stay float, and whether the margin holds. */
    search?: { trials: number; keptFloat: number; holds: boolean };
  }>;
}

export interface GateActivities {
  /** Judges fp32 and int8 against champion and anchor on the same rows and picks the contestant that ships. */
  decideGate(input: {
    plan: CyclePlan;
    candidate: { model: Digest; evaluation: Digest };
    int8: { model: Digest; evaluation: Digest } | null;
    champion: { model: Digest; evaluation: Digest } | null;
    anchor: { model: Digest; evaluation: Digest } | null;
  }): Promise<GateResult>;
}

export interface GateResult {
  result: (typeof verdictResults)[number];
  verdict: Digest;
  candidate: Digest;
  precision: 'fp32' | 'int8';
  /** First sentences of the verdict. */
  reasons: string[];
  rowsNeeded: number | null;
  evaluation: Digest;
  championEvaluation: Digest | null;
  /** `metric` → candidate and champion, for the details table. */
  summary: [metric: string, candidate: string, champion: string][];
}

/** `job`, on the gpu or hpc queue; once a job is placed, on its host's own queue. */
export interface JobActivities {
  /**
   * Decides, before anything starts and once for ever, which spec an attempt runs and whose host holds it: a retry, another
   * worker or another life of the workflow gets the decision that was made first.
   */
  placeJob(input: {
    /** The attempt's name. */
    name: string;
    specDigest: Digest;
    resources: JobResources;
    checkpoint: Digest | null;
    /** Of a list of partitions, the one whose turn it is. */
    partition?: string;
    /** Only tasks that failed so, of an array that was tried before. */
    tasks?: { manifest: Digest; classes: FailureClass[] };
  }): Promise<JobPlacement>;
  submitJob(input: { spec: Digest }): Promise<JobRef>;
  /**
   * Leaves no job of this placement behind, whether its submit was never carried out, has lost its reply, or comes late;
   * returns when it is gone.
   */
  withdrawJob(input: { spec: Digest }): Promise<void>;
  /** Beats while it waits; only a real cancel stops the job. */
  awaitJob(input: { ref: JobRef }): Promise<AwaitedJob>;
  /** Model and output folders into the store. */
  collectJob(input: { ref: JobRef }): Promise<{
    model: Digest | null;
    output: Digest | null;
    metrics: Record<string, number>;
    /** The end of what it printed, when it left an output folder. */
    lastLines?: string;
  }>;
  /** Outputs of an array's tasks that succeeded, and how each task stands, those of earlier attempts included. */
  collectArray(input: { ref: JobRef; before: Digest | null }): Promise<CollectedArray>;
  /** Stops the job and returns when it is gone; an ended job stays as it is. */
  cancelJob(input: { ref: JobRef }): Promise<void>;
  /** The attempt's newest checkpoint, for the next attempt; null when it left none. */
  saveCheckpoint(input: { ref: JobRef }): Promise<{ checkpoint: Digest | null }>;
}

export interface CollectedArray {
  /** Every task's newest end, as a blob. */
  manifest: Digest;
  /** Files of all tasks that succeeded, each below its number. */
  output: Digest | null;
  total: number;
  succeeded: number;
  /** Tasks that have not succeeded, by class. */
  failed: Partial<Record<FailureClass, number>>;
}

export interface JobPlacement {
  /** The JobSpec as it is submitted: name, resources and checkpoint filled in. */
  spec: Digest;
  /** Task queue of the host that holds the job; null: any worker of the runner's queue finds it. */
  queue: string | null;
  resources: JobResources;
  /** The name belongs to an attempt at something else: it cannot be used. */
  isForeign: boolean;
}

export interface AwaitedJob {
  state: 'succeeded' | 'failed' | 'cancelled';
  failureClass: FailureClass | null;
  reason: string;
  durationMs: number;
}

/** `endpoint`, on the control queue. */
export interface EndpointActivities {
  /**
   * Desired state and barred digests, so that a new life of the workflow goes on from what is served. Where a hand moved
   * the ref to something that no replica can follow, `state` is the newest one that they can.
   */
  loadEndpoint(input: { endpoint: string }): Promise<EndpointInStore>;
  readChampion(input: { model: string }): Promise<{ champion: RefPosition | null }>;
  /** Moves the desired ref; throws `RefConflict` when somebody else moved it since `expected`. */
  setDesired(input: {
    endpoint: string;
    expected: RefPosition | null;
    state: DesiredState;
    operation: string;
    by: string;
    reason: string;
  }): Promise<RefPosition>;
  /** Returns when every replica serves the generation, or says why not; what may pass is waited for. */
  awaitGeneration(input: {
    endpoint: string;
    generation: number;
    withinMs: number;
  }): Promise<{ serving: boolean /** It never will be. */; failed: boolean; detail: string }>;
  /** Gathers evidence under the current weights until it decides, the time is over, or the ref moved by itself. */
  observeCanary(input: CanaryObservation): Promise<CanaryResult>;
  /** Returns only when the desired ref is no longer `expected`: somebody broke the glass. */
  watchDesired(input: {
    endpoint: string;
    expected: RefPosition;
  }): Promise<{ desired: RefPosition; state: DesiredState | null; by: string; reason: string }>;
  /** Judges delayed labels in the data's own time; "not yet" is a benign failure that is retried. */
  observeProbation(input: Probation): Promise<{ outcome: 'passed' | 'rollback'; reason: string }>;
  /** Writes the Deployment; with `champion` it moves the champion there too. */
  recordDeployment(input: {
    endpoint: string;
    operation: string;
    model: Digest;
    modelName: string;
    by: string;
    outcome: Deployment['outcome'];
    reason: string;
    steps: Deployment['steps'];
    champion: { expected: RefPosition | null; next: Digest } | null;
  }): Promise<{ deployment: Digest; champion: RefPosition | null }>;
  bar(input: { endpoint: string; model: Digest; by: string; reason: string; operation: string }): Promise<void>;
}

/** What the store knows of an endpoint. */
export interface EndpointInStore {
  desired: RefPosition | null;
  /** Who moved the desired ref last, and why. */
  moved: { by: string; reason: string; atMs: number } | null;
  state: DesiredState | null;
  barred: Digest[];
  /** What the registry says about the models of `state`. */
  known: { model: Digest; modelName: string; version: number /** Who made it, and hears of it. */; loop?: string }[];
}

/** A version that took all traffic and is judged by the labels that arrive late, and by what it fails to answer. */
export interface Probation {
  endpoint: string;
  loop: string;
  model: Digest;
  /** In the data's own time. */
  forMs: number;
  accuracyLoss: number;
  /** Error rate above the version before's that is tolerated; absent for rollouts that older code began. */
  errorRateMargin?: number;
  /** Wall clock. */
  sinceMs: number;
}

export interface CanaryObservation {
  endpoint: string;
  generation: number;
  expected: RefPosition;
  candidate: Digest;
  current: Digest;
  weight: number;
  plan: RolloutPlan;
  sinceMs: number;
}

export interface CanaryResult {
  decision: 'advance' | 'rollback' | 'timeout' | 'external';
  reason: string;
  step: Deployment['steps'][number];
}
