import { z } from 'zod';

/** What the gate measures; `direction` says which way is better. */
export const metricNames = [
  'accuracy',
  'f1',
  'precision',
  'recall',
  'rocAuc',
  'prAuc',
  'falsePositiveRate',
  'falseNegativeRate',
  'logLoss',
  'calibrationError',
  'rmse',
  'mae',
  'r2',
  'latencyP50',
  'latencyP95',
  'latencyP99',
  'sizeBytes',
] as const;
export type MetricName = (typeof metricNames)[number];

export const defaultDirection: Readonly<Record<MetricName, 'higher' | 'lower'>> = {
  accuracy: 'higher',
  f1: 'higher',
  precision: 'higher',
  recall: 'higher',
  rocAuc: 'higher',
  prAuc: 'higher',
  falsePositiveRate: 'lower',
  falseNegativeRate: 'lower',
  logLoss: 'lower',
  calibrationError: 'lower',
  rmse: 'lower',
  mae: 'lower',
  r2: 'higher',
  latencyP50: 'lower',
  latencyP95: 'lower',
  latencyP99: 'lower',
  sizeBytes: 'lower',
};

export const isMetricName = (name: string): name is MetricName => (metricNames as readonly string[]).includes(name);

/** How an evaluation program's number per row becomes one metric: its mean, or the root of its mean (of squares). */
export const rowAggregates = ['mean', 'rootMean'] as const;
export type RowAggregate = (typeof rowAggregates)[number];

/** One requirement of the gate, units resolved: shares as fractions, latency in milliseconds, sizes in bytes. */
export const GateMetric = z.strictObject({
  /** One of `metricNames`, or one of an evaluation program's, which then has `value` and `aggregate`. */
  metric: z.string().min(1),
  /** Name of the number that the program gives for each row. */
  value: z.string().optional(),
  aggregate: z.enum(rowAggregates).optional(),
  direction: z.enum(['higher', 'lower']),
  /** The metric's lower bound must not be below it. */
  floor: z.number().optional(),
  /** The metric's upper bound must not be above it. */
  ceiling: z.number().optional(),
  /** Allowed loss against champion and anchor, absolute, in the metric's own unit, ≥ 0. */
  margin: z.number().nonnegative().optional(),
  /** Allowed loss against champion and anchor, relative to their value, ≥ 0. */
  worseBy: z.number().nonnegative().optional(),
  /** Slice columns on each of whose values the requirement holds too. */
  slices: z.array(z.string()),
  /** Fewer rows than this in a slice: the slice is too small to judge. */
  minRows: z.number().int().positive(),
  /** What a slice that is too small means. */
  tooSmall: z.enum(['report', 'inconclusive']),
});
export type GateMetric = z.infer<typeof GateMetric>;

export const GateSpec = z.strictObject({
  against: z.array(z.enum(['champion', 'anchor'])),
  /** Margin against the anchor, where it differs from the champion's. */
  anchorMargin: z.number().nonnegative().optional(),
  metrics: z.array(GateMetric).min(1),
  onInconclusive: z.enum(['hold', 'ask']),
});
export type GateSpec = z.infer<typeof GateSpec>;

export const verdictResults = ['pass', 'fail', 'inconclusive'] as const;

/** One bound that the gate tested. Three-valued, as the verdict itself. */
export const BoundResult = z.strictObject({
  metric: z.string(),
  /** `overall` or `slice=value`. */
  slice: z.string(),
  /** `floor`, `ceiling`, or whom the candidate is compared with. */
  against: z.enum(['floor', 'ceiling', 'champion', 'anchor']),
  result: z.enum([...verdictResults, 'tooSmall']),
  /** The metric, or the paired difference candidate − other, signed so that positive is better. */
  estimate: z.number().nullable(),
  /** One-sided 95 % bounds of the estimate. */
  lower: z.number().nullable(),
  upper: z.number().nullable(),
  /** What the bound was held against. */
  limit: z.number(),
  rows: z.number().int().nonnegative(),
  /** Share of rows on which the two models disagree. */
  disagreement: z.number().nullable(),
  /** Rows that would decide with 80 % power, when inconclusive. */
  rowsNeeded: z.number().int().nullable(),
  /** p-value for "the limit is violated", before Holm's correction. */
  pFail: z.number().nullable(),
});
export type BoundResult = z.infer<typeof BoundResult>;

export const Verdict = z.strictObject({
  result: z.enum(verdictResults),
  /** Sentences for people, worst first. */
  reasons: z.array(z.string()).min(1),
  bounds: z.array(BoundResult),
  rows: z.number().int().nonnegative(),
  /** Most rows that any inconclusive bound needs. */
  rowsNeeded: z.number().int().nullable(),
  servable: z.boolean(),
  withoutChampion: z.boolean(),
});
export type Verdict = z.infer<typeof Verdict>;
