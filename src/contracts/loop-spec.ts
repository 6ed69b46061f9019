import { z } from 'zod';
import { cronProblem, isTimezone } from './cron.ts';
import { SecretRef } from './job.ts';
import { loopProblems } from './loop-rules.ts';
import { notifyEvents } from './messages.ts';
import { metricProblems } from './metric-rules.ts';
import { isName } from './names.ts';
import { parseDuration, parsePoints, parseRelative, parseRequests, parseShare, parseSize, UnitError } from './units.ts';
import { defaultDirection, type GateMetric, isMetricName, metricNames, rowAggregates } from './verdict.ts';

/**
 * `loop.yaml` (DESIGN §7). The input side is what people write, units included; the output side (`LoopSpec`) is what the
 * rest of the code reads: milliseconds, bytes, fractions. `goto3 schema loop` publishes the input side as JSON Schema.
 */
export const withUnit = <T>(parse: (text: string) => T, example: string) =>
  z
    .string()
    .meta({ examples: [example] })
    .transform((text, context): T => {
      try {
        return parse(text);
      } catch (error) {
        if (!(error instanceof UnitError)) throw error;
        context.addIssue({ code: 'custom', message: error.message });
        return z.NEVER;
      }
    });
const duration = withUnit((t) => parseDuration(t), '10m');
const size = withUnit(parseSize, '1GiB');
const share = withUnit(parseShare, '20%');
/** Both sides need rows. */
const partOfRows = withUnit((t) => {
  const part = parseShare(t);
  if (part === 0 || part === 1)
    throw new UnitError(`expected a share above 0% and below 100%, got ${JSON.stringify(t)}`);
  return part;
}, '20%');
const points = withUnit(parsePoints, '2pt');
const relative = withUnit(parseRelative, '+50%');
const allowedPoints = points.refine((p) => p >= 0, 'expected a loss that is allowed, zero or more');
const allowedRelative = relative.refine((r) => r >= 0, 'expected a loss that is allowed, zero or more');
const requests = withUnit(parseRequests, '300 requests');
const percentWeight = withUnit((t) => {
  const weight = parseShare(t) * 100;
  if (weight <= 0 || weight >= 100)
    throw new UnitError(`expected a canary weight between 0% and 100%, got ${JSON.stringify(t)}`);
  return weight;
}, '5%');

const name = z.string().refine(isName, 'expected lower-case letters, digits, ".", "_" and "-", at most 63 characters');
const column = z
  .string()
  .min(1)
  .max(128)
  .refine((c) => c !== '__proto__', 'not a column name');
export const program = z
  .array(
    z
      .string()
      .min(1)
      .refine((part) => !part.includes('\0'), 'expected text without NUL'),
  )
  .min(1);
export const environment = z.record(
  z.string().regex(/^[A-Z_][A-Z0-9_]*$/, 'expected an environment name in capitals'),
  z.union([z.string(), SecretRef]),
);
const scalar = z.union([z.string().max(2_500), z.number(), z.boolean()]);
/** As SageMaker limits them (CreateTrainingJob, HyperParameters), so that one file runs everywhere. */
const hyperparameters = z
  .record(
    z.string().regex(/^[A-Za-z][A-Za-z0-9_.-]{0,255}$/, 'expected a name of letters, digits, "_", "." and "-"'),
    scalar,
  )
  .refine((all) => Object.keys(all).length <= 100, 'expected at most 100 hyperparameters');

const resources = z
  .strictObject({
    gpus: z.number().int().min(0).max(64).default(0),
    cpus: z.number().int().min(1).max(1024).default(1),
    memory: size.default(2 ** 30),
    time: duration.default(600_000),
  })
  .prefault({});

const dataSchema = z.strictObject({
  program,
  poll: z.union([z.literal('push'), duration]).default('push'),
  env: environment.default({}),
  columns: z.strictObject({ id: column, time: column, label: column, features: z.array(column).min(1) }),
  /** What labels are: names of classes, or numbers. */
  task: z.enum(['classification', 'regression']).default('classification'),
  labelDelay: withUnit((t) => parseDuration(t, { zero: true }), '1d').default(0),
  holdout: z.strictObject({ share: partOfRows, newest: z.number().int().positive() }),
  checks: z
    .strictObject({
      schema: z.literal('strict').default('strict'),
      labelDisagreement: share.optional(),
      minRows: z.number().int().positive().default(100),
      minClassShare: share.default(0.01),
    })
    .prefault({}),
  slices: z.array(column).default([]),
});

/** As `bases/spec.ts` reads it; a branch or a tag is refused, because what it stands for changes. */
const pretrained = z
  .string()
  .regex(
    /^(?:hub:[A-Za-z0-9][\w.-]{0,95}\/[A-Za-z0-9][\w.-]{0,95}@[0-9a-f]{40}(?:#sha256:[0-9a-f]{64})?|folder:\/[^#]*(?:#sha256:[0-9a-f]{64})?|store:sha256:[0-9a-f]{64})$/,
    'expected scratch, hub:owner/name@<commit of 40 hex digits>, folder:/absolute/path or store:sha256:…',
  );

const baseSchema = z
  .strictObject({
    /** The pretrained model on the `base` channel. */
    from: z.union([z.literal('scratch'), pretrained]).default('scratch'),
    warmStart: z.enum(['champion', 'never']).default('champion'),
    freshEvery: z.number().int().positive().default(10),
  })
  .prefault({});

const trainSchema = z.strictObject({
  program,
  env: environment.default({}),
  hyperparameters: hyperparameters.default({}),
  resources,
  progressTimeout: duration.default(120_000),
  runsOn: z
    .union([
      z.literal('local'),
      z
        .string()
        .regex(
          /^(?:slurm|sagemaker):[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/,
          'expected "local", "slurm:<target>" or "sagemaker:<target>"',
        ),
    ])
    .default('local'),
});

const evaluateSchema = z.strictObject({
  program,
  env: environment.default({}),
  hyperparameters: hyperparameters.default({}),
  resources,
  /** As long as the job may take: ten lines that score some rows print no progress. */
  progressTimeout: duration.default(600_000),
});

/** A limit in the unit that was written; the metric says which one it must be (loop-rules). */
const inUnit = <U extends string, S extends z.ZodType<number>>(unit: U, schema: S) =>
  schema.transform((value) => ({ unit, value }));
const metricLimit = z.union([inUnit('number', z.number()), inUnit('duration', duration), inUnit('size', size)]);
const metricMargin = z.union([
  inUnit('points', allowedPoints),
  inUnit('number', z.number().nonnegative()),
  inUnit('duration', duration),
  inUnit('size', size),
]);
/** One of ours, or a name that the user's evaluation program gives meaning to (loop-rules). */
const metricName = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_.-]{0,62}$/, 'expected a name of letters, digits, "_", "." and "-"')
  .refine((text) => text !== '__proto__', 'not a name');

const gateMetricSchema = z
  .strictObject({
    metric: metricName.meta({ examples: [...metricNames] }),
    value: metricName.optional(),
    aggregate: z.enum(rowAggregates).optional(),
    direction: z.enum(['higher', 'lower']).optional(),
    floor: metricLimit.optional(),
    ceiling: metricLimit.optional(),
    margin: metricMargin.optional(),
    worseBy: allowedRelative.optional(),
    slices: z.array(column).default([]),
    minRows: z.number().int().positive().default(200),
    tooSmall: z.enum(['report', 'inconclusive']).default('report'),
  })
  .superRefine((metric, context) => {
    for (const { path, message } of metricProblems(metric)) context.addIssue({ code: 'custom', path, message });
  })
  .transform(({ metric, value, aggregate, direction, floor, ceiling, margin, ...rest }): GateMetric => {
    const limits = Object.entries({ floor, ceiling, margin }).flatMap(([name, limit]) =>
      limit === undefined ? [] : [[name, limit.value]],
    );
    const common = { ...rest, ...Object.fromEntries(limits), metric };
    if (isMetricName(metric)) return { ...common, direction: direction ?? defaultDirection[metric] };
    return { ...common, direction: direction!, value: value ?? metric, aggregate: aggregate ?? 'mean' };
  });

const gateSchema = z.strictObject({
  against: z.array(z.enum(['champion', 'anchor'])).default(['champion', 'anchor']),
  anchorMargin: allowedPoints.optional(),
  metrics: z.array(gateMetricSchema).min(1),
  onInconclusive: z.enum(['hold', 'ask']).default('hold'),
});

const approvalSchema = z.union([
  z.literal('auto'),
  z.strictObject({
    by: z.array(z.string().min(1)).min(1),
    notBy: z.literal('author').optional(),
    within: duration,
    onTimeout: z.enum(['reject', 'park']).default('reject'),
  }),
]);

const rolloutSchema = z.strictObject({
  endpoint: name,
  canary: z
    .array(percentWeight)
    .default([5, 25, 50])
    .refine((w) => w.every((x, i) => i === 0 || x > w[i - 1]!), 'expected weights that rise'),
  each: z
    .strictObject({
      atLeast: requests.default(300),
      atMost: duration.default(3_600_000),
      onTimeout: z.enum(['rollback', 'continue']).default('rollback'),
    })
    .prefault({}),
  rollbackOn: z
    .strictObject({ errorRate: allowedPoints.default(0.01), latencyP99: allowedRelative.default(0.5) })
    .prefault({}),
  probation: z
    .strictObject({
      for: duration,
      rollbackOn: z.strictObject({ accuracy: points.refine((p) => p < 0, 'expected a loss such as "-3pt"') }),
    })
    .optional(),
});

/** Rows or answers that are compared at a time: fewer say nothing, more are old before they are looked at. */
const monitorWindow = z.number().int().min(50).max(20_000).default(500);
/** How often the monitor may ever be wrong against one reference. */
const falseAlarms = withUnit((t) => {
  const part = parseShare(t);
  if (part === 0 || part > 0.2)
    throw new UnitError(`expected a share above 0% and at most 20%, got ${JSON.stringify(t)}`);
  return part;
}, '1%').default(0.01);

const cron = z
  .string()
  .meta({ examples: ['0 3 * * *'] })
  .superRefine((text, context) => {
    const message = cronProblem(text);
    if (message !== undefined) context.addIssue({ code: 'custom', message });
  });
const timezone = z.string().refine(isTimezone, 'expected a time zone such as "UTC" or "Europe/Berlin"');

export const LoopSpecSchema = z
  .strictObject({
    apiVersion: z.literal('goto3/v1'),
    loop: name,
    model: name,
    data: dataSchema,
    base: baseSchema,
    train: trainSchema,
    evaluate: evaluateSchema.optional(),
    quantize: z
      .union([
        z.literal('never'),
        z.strictObject({
          int8: z.literal('dynamic'),
          /** Of accuracy. */
          margin: allowedPoints.optional(),
          /** Of the root mean squared error. */
          worseBy: allowedRelative.optional(),
          /** Puts the most sensitive layers back to float, the fewest that hold the margin. */
          search: z
            .strictObject({
              /** Models that may be tried, int8 throughout the first. */
              maxTrials: z.number().int().min(1).max(64).default(12),
              /** Newest training rows that they are tried on; the hold-out is the gate's alone. */
              rows: z.number().int().min(50).max(20_000).default(1_000),
            })
            .optional(),
        }),
      ])
      .default('never'),
    gate: gateSchema,
    approval: approvalSchema.default('auto'),
    rollout: z.union([z.literal('none'), rolloutSchema]),
    triggers: z
      .strictObject({
        newRows: z.number().int().positive().optional(),
        schedule: z.strictObject({ cron, timezone: timezone.default('UTC') }).optional(),
        liveAccuracyBelow: z.number().min(0).max(1).optional(),
        drift: z
          .strictObject({
            /** Population stability index; a shift that is certain and smaller starts nothing. */
            psiAbove: z.number().positive().max(10).default(0.2),
            window: monitorWindow,
            falseAlarms,
          })
          .optional(),
        bias: z
          .strictObject({
            /** The class that is good, or bad, to get. */
            positive: z.string().min(1).max(256),
            differenceAbove: allowedPoints.default(0.1),
            /** Rows that a group needs in a window. */
            minRows: z.number().int().positive().default(30),
            window: monitorWindow,
            falseAlarms,
          })
          .optional(),
      })
      .prefault({}),
    limits: z
      .strictObject({
        minInterval: withUnit((t) => parseDuration(t, { zero: true }), '30s').default(0),
        cyclesPerDay: z.number().int().positive().default(48),
        gpuHoursPerDay: z.number().positive().default(24),
        pauseAfterFailures: z.number().int().positive().default(3),
        /** A one-off is a loop with `cycles: 1`. */
        cycles: z.number().int().positive().optional(),
      })
      .prefault({}),
    notify: z.strictObject({ on: z.array(z.enum(notifyEvents)).min(1), webhook: SecretRef }).optional(),
  })
  .superRefine((spec, context) => {
    for (const { path, message } of loopProblems(spec)) context.addIssue({ code: 'custom', path, message });
  });

/** What people write. */
export type LoopFile = z.input<typeof LoopSpecSchema>;
/** What the code reads: units resolved, defaults filled in. */
export type LoopSpec = z.output<typeof LoopSpecSchema>;

/** The spec as the store keeps it: what was written, and where its relative paths start. */
export const AppliedLoop = z.strictObject({
  schema: z.literal('goto3/applied-loop/v1'),
  /** The file's content as parsed from YAML, before defaults. */
  file: z.record(z.string(), z.unknown()),
  /** Absolute folder of the file. */
  folder: z.string(),
  appliedBy: z.string(),
});
export type AppliedLoop = z.infer<typeof AppliedLoop>;

/** Type-checks a loop written in TypeScript. */
export const defineLoop = (file: LoopFile): LoopFile => file;
