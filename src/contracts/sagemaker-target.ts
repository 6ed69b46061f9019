import { z } from 'zod';
import { parseSize } from './units.ts';

/**
 * What a file may say about SageMaker training in one account and region (`sagemaker:<name>` in goto3.yaml). Credentials
 * are in none of it: they come by the SDK's chain. Patterns and lengths are those of CreateTrainingJob, so that a bad
 * value is told here and not by a call
 * (https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateTrainingJob.html).
 */
const targetName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, 'expected letters, digits, "_", "." and "-", at most 64 characters');
const entityName = z
  .string()
  .max(120)
  .regex(/^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,119}$/, 'expected letters, digits and single "-" between them, at most 120');
const kmsKey = z
  .string()
  .max(2_048)
  .regex(/^[a-zA-Z0-9:/_-]+$/, 'expected the id, alias or ARN of a KMS key');
const milliseconds = z.number().int().positive();
const size = z.string().transform((text, context) => {
  try {
    return parseSize(text);
  } catch (error) {
    context.addIssue((error as Error).message);
    return z.NEVER;
  }
});

const instance = z.strictObject({
  type: z.string().regex(/^ml\.[a-z0-9-]+\.[a-z0-9-]+$/, 'expected an instance type such as "ml.m5.large"'),
  cpus: z.number().int().positive(),
  memory: size,
  gpus: z.number().int().nonnegative().default(0),
});
export type SageMakerInstance = z.output<typeof instance>;

/** Of models that are registered in this account: SageMaker's model registry mirrors what goto3 decides. */
const registry = z.strictObject({
  /** The container that serves the model (InferenceSpecification). */
  image: z
    .string()
    .max(255)
    .regex(/^[^\s]+$/, 'expected the URI of an image without blanks'),
  /** What it may be served on. */
  instances: z
    .array(z.string().regex(/^ml\.[a-z0-9-]+\.[a-z0-9-]+$/, 'expected an instance type such as "ml.m5.large"'))
    .min(1)
    .max(50),
  /** Before the model's name in the name of its group. */
  prefix: z
    .string()
    .regex(/^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,30}-$/, 'expected letters, digits and "-", at most 32, with "-" at its end')
    .optional(),
  /** Looks at a package that waits for approval come so often. */
  pollMs: z.number().int().min(100).max(3_600_000).default(30_000),
});
export type SageMakerRegistryTarget = z.output<typeof registry>;

export const SageMakerTarget = z
  .strictObject({
    region: z.string().regex(/^[a-z]{2}(-[a-z]+)+-\d$/, 'expected a region such as "eu-central-1"'),
    /** What the job itself may do; it must trust sagemaker.amazonaws.com. */
    role: z
      .string()
      .max(2_048)
      .regex(
        /^arn:aws[a-z-]*:iam::\d{12}:role\/?[a-zA-Z_0-9+=,.@\-_/]+$/,
        'expected the ARN of a role such as "arn:aws:iam::123456789012:role/training"',
      ),
    /** The container, with Node.js 20 or newer beside what the program needs. */
    image: z
      .string()
      .max(255)
      .regex(/^[^\s]+$/, 'expected the URI of an image without blanks'),
    /** What a job may get, the dearest to us first: the first that is large enough, the next one when AWS has none. */
    instances: z.array(instance).min(1).max(20),
    volumeGiB: z.number().int().min(1).max(16_384).default(30),
    /** Spot capacity, interrupted jobs resume from their checkpoints; `waitMs` on top of the job's own time limit. */
    spot: z.strictObject({ waitMs: milliseconds }).optional(),
    /** Keep the instance for the next job so long; at most 6 h (KeepAlivePeriodInSeconds ≤ 21,600). */
    keepAliveMs: z.number().int().min(1_000).max(21_600_000).optional(),
    vpc: z
      .strictObject({
        subnets: z
          .array(z.string().regex(/^[-0-9a-zA-Z]{1,32}$/))
          .min(1)
          .max(16),
        securityGroups: z
          .array(z.string().regex(/^[-0-9a-zA-Z]{1,32}$/))
          .min(1)
          .max(5),
      })
      .optional(),
    kms: z.strictObject({ volume: kmsKey.optional(), output: kmsKey.optional() }).optional(),
    networkIsolation: z.boolean().default(false),
    experiment: z.strictObject({ name: entityName, trial: entityName.optional() }).optional(),
    tags: z.record(z.string().min(1).max(128), z.string().max(256)).default({}),
    /** `upload`: the program's folder goes with the job; `image`: program and folder are in the image, under their paths. */
    code: z.enum(['upload', 'image']).default('upload'),
    /** Node.js in the image. */
    node: z
      .string()
      .max(256)
      .regex(/^[^\s]+$/)
      .default('node'),
    /** Profile of the AWS configuration; default: what the SDK's chain finds. */
    profile: targetName.optional(),
    /** Of SageMaker and CloudWatch Logs, where it is not AWS's own. */
    endpoint: z.url({ protocol: /^https?$/ }).optional(),
    /** Calls of one kind in a second, for all jobs of the account and region together. */
    callsPerSecond: z.number().positive().max(100).default(2),
    poll: z.strictObject({ fromMs: milliseconds.default(5_000), toMs: milliseconds.default(60_000) }).prefault({}),
    /** Models are registered here too; at most one target has it. */
    registry: registry.optional(),
  })
  .refine(({ spot, keepAliveMs }) => !(spot && keepAliveMs !== undefined), {
    // https://docs.aws.amazon.com/sagemaker/latest/dg/train-warm-pools.html, "Warm pool resource limits / considerations"
    path: ['keepAliveMs'],
    message: 'warm pools do not go with spot: leave one of "spot" and "keepAliveMs" out',
  });
export type SageMakerTarget = z.output<typeof SageMakerTarget>;

/** Targets by name: `prod` is `sagemaker:prod` in a loop file. */
export const SageMakerTargets = z
  .record(targetName, SageMakerTarget)
  .refine(
    (targets) => Object.values(targets).filter((target) => target.registry).length <= 1,
    'a model has one registry: leave "registry" in one target only',
  );
export type SageMakerTargets = z.output<typeof SageMakerTargets>;

export const sageMakerTargetPrefix = 'sagemaker:';
