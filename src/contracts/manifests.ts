import { z } from 'zod';
import { Base } from './base.ts';
import { ArtifactFile, Digest as DigestSchema } from './digest.ts';
import { FailureClassSchema } from './job.ts';
import { ModelSignature } from './model.ts';
import { Verdict } from './verdict.ts';

/**
 * What the store remembers: canonical JSON, themselves blobs. `parents` are digests of other manifests, so lineage is a
 * walk (DESIGN §3).
 */
const Digest = DigestSchema.transform((d) => d as `sha256:${string}`);
const common = { parents: z.array(Digest), createdAt: z.string() };

/** Rows as JSONL, appended by one run of the data program; `train` and `holdout` part them by content hash. */
export const DatasetSegment = z.strictObject({
  rows: Digest,
  rowCount: z.number().int().nonnegative(),
  train: Digest,
  trainRows: z.number().int().nonnegative(),
  holdout: Digest,
  holdoutRows: z.number().int().nonnegative(),
  /** Rows by class; empty where labels are numbers. */
  classCounts: z.record(z.string(), z.number().int()),
  /** Where labels are numbers: the lowest and the highest. */
  labelRange: z.strictObject({ lowest: z.number(), highest: z.number() }).optional(),
  /** Rows that repeat the normalised content of another row of the segment. */
  repeats: z.number().int().nonnegative(),
  /** Rows whose id an earlier segment has: left out. */
  redelivered: z.number().int().nonnegative(),
  /** Rows that did not fit the columns, by what was wrong: left out. */
  schemaErrors: z.record(z.string(), z.number().int()),
  /** Oldest and newest `time` of its rows, ISO; empty without rows. */
  from: z.string(),
  to: z.string(),
});
export type DatasetSegment = z.infer<typeof DatasetSegment>;

export const Dataset = z.strictObject({
  kind: z.literal('Dataset'),
  ...common,
  loop: z.string(),
  /** Oldest first; a new snapshot shares all earlier segments. */
  segments: z.array(DatasetSegment),
  rowCount: z.number().int().nonnegative(),
  classCounts: z.record(z.string(), z.number().int()),
  /** What the data program wants as `--since` next time. */
  cursor: z.string(),
  columns: z.strictObject({ id: z.string(), time: z.string(), label: z.string(), features: z.array(z.string()) }),
  /** Share of rows, by hash of their normalised content, that is never trained on. */
  holdoutShare: z.number(),
  /**
   * Rows that the program gave before their label was settled (`labelDelay`): they wait here, and count as rows of the
   * dataset when they are old enough in the data's own time.
   */
  waiting: z.strictObject({ rows: Digest, rowCount: z.number().int().positive() }).optional(),
  /** Newest `time` that the program ever gave, ISO: the data's own now. */
  newestTime: z.string().optional(),
});
export type Dataset = z.infer<typeof Dataset>;

export const Run = z.strictObject({
  kind: z.literal('Run'),
  ...common,
  /** `<loop>/<n>/<step>/<attempt>`. */
  job: z.string(),
  jobSpec: Digest,
  program: z.array(z.string()),
  /** SHA-256 of the program's own file, where argv names one. */
  programDigest: Digest.optional(),
  hyperparameters: z.record(z.string(), z.string()),
  metrics: z.record(z.string(), z.number()),
  /** The metrics stream, JSONL. */
  history: Digest.optional(),
  durationMs: z.number(),
  attempts: z.number().int().positive(),
});
export type Run = z.infer<typeof Run>;

export const Model = z.strictObject({
  kind: z.literal('Model'),
  ...common,
  model: z.string(),
  loop: z.string(),
  cycle: z.number().int().positive(),
  precision: z.enum(['fp32', 'int8']),
  files: z.array(ArtifactFile).min(1),
  signature: ModelSignature,
  sizeBytes: z.number().int().positive(),
  /** The run that made it, or the model that was quantized. */
  run: Digest,
  dataset: Digest,
  /** The champion whose weights it started from. */
  warmStart: Digest.optional(),
  /** Of an int8 model: what its verdict rests on (`onnx/quantize/instruction-set.ts`), and what the search found. */
  quantization: z
    .strictObject({
      /** Of the worker that quantized it and searched on it. */
      instructionSet: z.string(),
      weightBits: z.union([z.literal(7), z.literal(8)]),
      /** Whether `session.x64quantprecision` was set while it was measured. */
      x64QuantPrecision: z.boolean(),
      /** Nodes that stay float by the search. */
      keptFloat: z.number().int().nonnegative().optional(),
      report: Digest.optional(),
    })
    .optional(),
});
export type Model = z.infer<typeof Model>;

/** A metric with its two-sided 95 % interval. `undefined` bounds: not defined on these rows. */
export const MetricValue = z.strictObject({
  value: z.number().nullable(),
  lower: z.number().nullable(),
  upper: z.number().nullable(),
  /** Rows that the metric rests on. */
  rows: z.number().int().nonnegative(),
});
export type MetricValue = z.infer<typeof MetricValue>;

const bothMs = z.tuple([z.number(), z.number()]);

/** Latencies of two models in blocks: within a block the two took turns, row by row, in one process. */
export const PairedLatency = z.strictObject({
  other: Digest,
  /** Rows of one block, answered by each of the two. */
  rowsPerBlock: z.number().int().positive(),
  /** By block: this model's quantile and the other's, in milliseconds. */
  blocks: z.array(z.strictObject({ p50: bothMs, p95: bothMs, p99: bothMs })),
});
export type PairedLatency = z.infer<typeof PairedLatency>;

export const Evaluation = z.strictObject({
  kind: z.literal('Evaluation'),
  ...common,
  model: Digest,
  dataset: Digest,
  /** Per-row outcomes, JSONL of `RowOutcome`. */
  outcomes: Digest,
  rowCount: z.number().int().nonnegative(),
  metrics: z.record(z.string(), MetricValue),
  slices: z.record(z.string(), z.record(z.string(), MetricValue)),
  latency: z.strictObject({ p50Ms: z.number(), p95Ms: z.number(), p99Ms: z.number(), samples: z.number().int() }),
  /** Against champion and anchor, measured in turns in one process. */
  latencyAgainst: z.array(PairedLatency).optional(),
  /** 0: not known, since not even the model's manifest could be read. */
  sizeBytes: z.number().int().nonnegative(),
  /** The model loaded in a child process and answered, and so did the evaluation program, where there is one. */
  servable: z.boolean(),
  /** Why it is not servable. */
  problem: z.string().optional(),
  /** Of an int8 model: how the worker that scored it multiplies 8-bit integers (`onnx/quantize/instruction-set.ts`). */
  arithmetic: z.strictObject({ instructionSet: z.string(), x64QuantPrecision: z.boolean() }).optional(),
  /** The job of the user's evaluation program. */
  program: z.strictObject({ job: z.string(), jobSpec: Digest, output: Digest }).optional(),
});
export type Evaluation = z.infer<typeof Evaluation>;

/** One row of `Evaluation.outcomes`. */
export const RowOutcome = z.strictObject({
  id: z.string(),
  /** ISO. */
  time: z.string(),
  label: z.string(),
  predicted: z.string(),
  /** Probability of the positive class, or the predicted value. */
  score: z.number(),
  /** `slice=value` memberships. */
  slices: z.array(z.string()),
  /** What the user's evaluation program says about the row, by name. */
  values: z.record(z.string(), z.number()).optional(),
});
export type RowOutcome = z.infer<typeof RowOutcome>;

export const VerdictManifest = z.strictObject({
  kind: z.literal('Verdict'),
  ...common,
  candidate: Digest,
  champion: Digest.nullable(),
  anchor: Digest.nullable(),
  /** Evaluations that the verdict rests on; with the gate below they reproduce it bit for bit. */
  evaluations: z.array(Digest),
  /** Digest of the canonical gate spec. */
  gate: Digest,
  verdict: Verdict,
});
export type VerdictManifest = z.infer<typeof VerdictManifest>;

export const Deployment = z.strictObject({
  kind: z.literal('Deployment'),
  ...common,
  endpoint: z.string(),
  model: Digest,
  /** `adopted`: somebody moved the desired state by hand, and the endpoint's workflow follows. */
  outcome: z.enum(['deployed', 'rolledBack', 'refused', 'withdrawn', 'superseded', 'adopted']),
  /** Whose word it was. */
  by: z.string().optional(),
  reason: z.string(),
  steps: z.array(
    z.strictObject({
      weight: z.number(),
      startedAt: z.string(),
      endedAt: z.string(),
      candidateRequests: z.number().int(),
      stableRequests: z.number().int(),
      backgroundShare: z.number(),
      candidateErrors: z.number().int(),
      stableErrors: z.number().int(),
      decision: z.string(),
    }),
  ),
});
export type Deployment = z.infer<typeof Deployment>;

/** Where the time of a cycle went, in milliseconds; what is in no phase is orchestration. */
export const CyclePhases = z.record(z.string(), z.number());

export const CycleReport = z.strictObject({
  kind: z.literal('CycleReport'),
  ...common,
  loop: z.string(),
  cycle: z.number().int().positive(),
  reason: z.string(),
  startedAt: z.string(),
  endedAt: z.string(),
  outcome: z.enum([
    'deployed',
    'approved',
    'approvedNotDeployed',
    'rolledBack',
    'rejected',
    'failedGate',
    'inconclusive',
    'noData',
    'failed',
    'cancelled',
  ]),
  detail: z.string(),
  failureClass: FailureClassSchema.optional(),
  dataset: Digest.optional(),
  rowCount: z.number().int().optional(),
  newRows: z.number().int().optional(),
  candidate: Digest.optional(),
  precision: z.enum(['fp32', 'int8']).optional(),
  verdict: Digest.optional(),
  verdictResult: z.enum(['pass', 'fail', 'inconclusive']).optional(),
  deployment: Digest.optional(),
  version: z.number().int().optional(),
  approvedBy: z.string().optional(),
  metrics: z.record(z.string(), MetricValue).optional(),
  championMetrics: z.record(z.string(), MetricValue).optional(),
  gpuHours: z.number().nonnegative(),
  phasesMs: CyclePhases,
});
export type CycleReport = z.infer<typeof CycleReport>;

/** Opened cycle: an entry of `loops/<loop>/cycles`. */
export const CycleOpened = z.strictObject({
  kind: z.literal('CycleOpened'),
  ...common,
  loop: z.string(),
  cycle: z.number().int().positive(),
  reason: z.string(),
  /** The spec that the cycle runs by, in whichever life; absent in entries of before it was kept. */
  spec: Digest.optional(),
});
export type CycleOpened = z.infer<typeof CycleOpened>;

/**
 * What a registry elsewhere holds of a model, in its own names: an entry of `models/<model>/registrations/<key>`. Ours is
 * the truth, and this says where its mirror is.
 */
export const Registration = z.strictObject({
  kind: z.literal('Registration'),
  ...common,
  model: Digest,
  /** `sagemaker:<target>`. */
  registry: z.string(),
  group: z.string(),
  /** ARN of the model package. */
  package: z.string(),
  approval: z.enum(['PendingManualApproval', 'Approved', 'Rejected']),
  /** Whose word it was, and why. */
  by: z.string().optional(),
  reason: z.string().optional(),
  version: z.number().int().positive().optional(),
  /** ARNs of its lineage there, by part. */
  lineage: z
    .strictObject({
      dataset: z.string(),
      training: z.string(),
      model: z.string(),
      endpoint: z.string().optional(),
    })
    .optional(),
});
export type Registration = z.infer<typeof Registration>;

export const Manifest = z.discriminatedUnion('kind', [
  Base,
  Dataset,
  Run,
  Model,
  Evaluation,
  VerdictManifest,
  Deployment,
  CycleReport,
  CycleOpened,
  Registration,
]);
export type Manifest = z.infer<typeof Manifest>;
