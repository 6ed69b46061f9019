import { z } from 'zod';
import { isName } from './names.ts';
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

export const EnvironmentSpec = z.strictObject({
  /** State folder; `.goto3` beside the file. */
  home: text.optional(),
  /** Without it the embedded server of `goto3 up`. */
  temporal: temporal.optional(),
  /** URL of the artifact store. */
  store: z.url({ protocol: /^(?:file|s3)$/, error: 'expected a URL such as "file:///srv/goto3/store"' }).optional(),
  /** Folder of one file a secret. */
  secrets: z.strictObject({ folder: text }).optional(),
  /** Clusters, as in targets.yaml, or the path of such a file. */
  targets: z.union([text, z.strictObject({ slurm: SlurmTargets })]).optional(),
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
