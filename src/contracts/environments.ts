import { z } from 'zod';
import { isName } from './names.ts';
import { isS3Address, parseS3Address } from './s3-address.ts';
import { SageMakerTargets } from './sagemaker-target.ts';
import { SlurmTargets } from './slurm-target.ts';

/** `goto3.yaml`: where a command works. Paths start at the file's folder. Credentials are in none of it. */
const text = z
  .string()
  .min(1)
  .refine((value) => !/[\0\n]/.test(value), 'expected one line of text');
const temporal = z.union([
  /** A profile of the Temporal CLI's own file, with its address, namespace, TLS and API key. */
  z.strictObject({ profile: text, configFile: text.optional() }),
  z.strictObject({ address: z.string().regex(/^[^\s:/]+:\d{1,5}$/, 'expected host:port'), namespace: text.optional() }),
]);

const storeUrl = z.string().superRefine((url, context) => {
  if (isS3Address(url)) {
    try {
      parseS3Address(url);
    } catch (error) {
      context.addIssue({ code: 'custom', message: (error as Error).message });
    }
  } else if (!url.startsWith('file://') || !URL.canParse(url))
    context.addIssue({
      code: 'custom',
      message: 'expected a URL such as "file:///srv/goto3/store" or "s3://bucket/goto3"',
    });
});
const store = z.union([
  storeUrl,
  /** A bucket, with more than its address. Credentials come from the AWS environment, profile or role, never from here. */
  z.strictObject({
    url: storeUrl,
    region: z
      .string()
      .regex(/^[a-z]{2}(-[a-z]+)+-\d$/, 'expected a region such as "eu-central-1"')
      .optional(),
    /** A server of the S3 API in place of AWS. */
    endpoint: z.url({ protocol: /^https?$/, error: 'expected a URL such as "http://127.0.0.1:7070"' }).optional(),
    /** Requests are refused when the bucket is another account's. */
    bucketOwner: z
      .string()
      .regex(/^\d{12}$/, 'expected an account id of 12 digits, in quotes')
      .optional(),
    /** Objects are encrypted with this key. */
    kmsKey: text.optional(),
    /** Disk for blobs that were read; 10GiB. */
    cache: z
      .string()
      .regex(/^(?:0|\d+(?:\.\d+)?(?:[KMGT]i?B))$/, 'expected a size such as "10GiB", or "0" for none')
      .optional(),
  }),
]);

export const EnvironmentSpec = z.strictObject({
  /** State folder; `.goto3` beside the file. */
  home: text.optional(),
  /** Without it the embedded server of `goto3 up`. */
  temporal: temporal.optional(),
  /** The artifact store. */
  store: store.optional(),
  /** Folder of one file a secret. */
  secrets: z.strictObject({ folder: text }).optional(),
  /** Clusters, as in targets.yaml, or the path of such a file. */
  targets: z
    .union([text, z.strictObject({ slurm: SlurmTargets.optional(), sagemaker: SageMakerTargets.optional() })])
    .optional(),
});
export type EnvironmentSpec = z.output<typeof EnvironmentSpec>;

const environmentName = z
  .string()
  .refine(isName, 'expected lower-case letters, digits, ".", "_" and "-", at most 63 characters');

export const EnvironmentsFile = z
  .strictObject({
    apiVersion: z.literal('goto3/v1'),
    /** What a command without `--env` means. */
    default: environmentName,
    environments: z.record(environmentName, EnvironmentSpec),
  })
  .superRefine(({ default: chosen, environments }, context) => {
    if (!Object.hasOwn(environments, chosen)) {
      const names = Object.keys(environments).map((name) => JSON.stringify(name));
      context.addIssue({ code: 'custom', path: ['default'], message: `expected one of ${names.join(', ') || 'none'}` });
    }
  });
export type EnvironmentsFile = z.output<typeof EnvironmentsFile>;
