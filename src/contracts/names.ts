/**
 * The names that cross a boundary: task queues, workflow ids, refs. Every workflow id is a business key, so a name typed
 * in the Web UI, in the Temporal CLI or by another service means the same thing.
 */

/** One task queue per kind of worker process (DESIGN §2). */
export const taskQueues = { control: 'control', cpu: 'cpu', gpu: 'gpu', hpc: 'hpc' } as const;
export type TaskQueue = keyof typeof taskQueues;

/** Local jobs need the machine that runs them: a worker also polls `<queue>@<host>`. */
export const hostQueue = (queue: TaskQueue, host: string): string => `${queue}@${host}`;

/** A machine's name as task queues and paths carry it. */
export const machineName = (hostname: string): string => hostname.toLowerCase().replaceAll(/[^a-z0-9.-]/g, '-');

export const workflowIds = {
  loop: (loop: string): string => `loop/${loop}`,
  cycle: (loop: string, n: number): string => `cycle/${loop}/${n}`,
  endpoint: (endpoint: string): string => `endpoint/${endpoint}`,
  job: (key: string): string => `job/${key}`,
  kick: (loop: string): string => `kick/${loop}`,
  /** One for a candidate: a cycle that is run again may find another. The key is the first 12 hex digits of its digest. */
  registryMirror: (loop: string, n: number, key: string): string => `registry/${loop}/${n}/${key}`,
} as const;

export const refNames = {
  /** The loop's spec as `apply` wrote it. */
  loopSpec: (loop: string): string => `loops/${loop}/spec`,
  /** One entry per cycle that was opened; its entry number is the cycle number. */
  cycles: (loop: string): string => `loops/${loop}/cycles`,
  /** One entry per cycle that ended: its report. */
  reports: (loop: string): string => `loops/${loop}/reports`,
  /** The newest accepted snapshot of the loop's data; it carries the data program's cursor. */
  dataset: (loop: string): string => `loops/${loop}/dataset`,
  /** Consecutive failures and a pause, so that both outlive the workflow. */
  fuse: (loop: string): string => `loops/${loop}/fuse`,
  /** What drift and bias were found, and how far the monitor has read. */
  monitor: (loop: string): string => `loops/${loop}/monitor`,
  /** One entry per approved version; its entry number is the version number. */
  versions: (model: string): string => `models/${model}/versions`,
  /** The version that serves (or, without an endpoint, was approved) last. */
  champion: (model: string): string => `models/${model}/champion`,
  /** The last version that a person approved: the gate's protection against slow creep. */
  anchor: (model: string): string => `models/${model}/anchor`,
  /** One entry per pruning: files that are gone on purpose. */
  pruned: (model: string): string => `models/${model}/pruned`,
  /** One entry per step of a version's way from another environment; the key is the first 40 hex digits of its digest. */
  promotion: (model: string, key: string): string => `models/${model}/promotions/${key}`,
  /** What another registry holds of a version, one entry per change; the key is the first 40 hex digits of its digest. */
  registration: (model: string, key: string): string => `models/${model}/registrations/${key}`,
  /** What a model scored on slices of rows; the key is of model and metric program. */
  backtest: (key: string): string => `backtests/${key}`,
  desired: (endpoint: string): string => `endpoints/${endpoint}/desired`,
  replica: (endpoint: string, replica: string): string => `endpoints/${endpoint}/replicas/${replica}`,
  /** One entry per rollout that ended: its Deployment. */
  deployments: (endpoint: string): string => `endpoints/${endpoint}/deployments`,
  /** Digests that a rollback barred from this endpoint. */
  barred: (endpoint: string): string => `endpoints/${endpoint}/barred`,
  /** The manifest of a hub base; the key is the first 40 hex digits of the SHA-256 of `hub:owner/name@commit`. */
  base: (key: string): string => `bases/${key}`,
  pin: (loop: string, n: number): string => `pins/${loop}/${n}`,
  /** The one placement of an attempt; `id` is made from its name. */
  job: (id: string): string => `jobs/${id}`,
  /** Signatures of a model; the key is the first 40 hex digits of its digest. */
  signature: (key: string): string => `signatures/${key}`,
  /** A notice that went out; `id` is made from its key. */
  notice: (loop: string, id: string): string => `notices/${loop}/${id}`,
} as const;

/** Names of loops, models, endpoints, slices: safe in workflow ids, paths, metrics labels and S3 keys. */
export const namePattern = /^[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?$/;
export const isName = (text: unknown): text is string =>
  typeof text === 'string' && namePattern.test(text) && !text.includes('..');

/** A ref is a `/`-separated path of names; cycle numbers are names too. */
export const isRefName = (text: unknown): text is string =>
  typeof text === 'string' && text.length <= 256 && text.split('/').every(isName);

/** The name of an external effect; `attempt` rises only after a terminal state is in history (DESIGN §2). */
export const effectName = (loop: string, n: number, step: string, attempt: number): string =>
  `${loop}/${n}/${step}/${attempt}`;

/** All workers of one build share it. */
export const deploymentName = 'goto3';
