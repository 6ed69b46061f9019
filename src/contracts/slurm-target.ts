import { z } from 'zod';
import { batchConstraint, SecretRef } from './job.ts';

/**
 * What a file may say about a Slurm cluster (`slurm:<name>` in goto3.yaml). Every text that reaches a directive passes an
 * allow-list here: no blank, no newline, no quote, no `%` pattern, nothing that a shell or Slurm would read otherwise.
 */
const slurmName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, 'expected letters, digits, "_", "." and "-", at most 64 characters');
/** `%` would be a pattern in Slurm's file names, a blank would end a `#!` line. */
const absolutePath = z
  .string()
  .max(1_024)
  .regex(/^\/[A-Za-z0-9._/@+=-]*$/, 'expected an absolute path of letters, digits and ._/@+=-')
  .refine((path) => !path.split('/').includes('..'), 'expected a path without ".."');
const milliseconds = z.number().int().positive();

const commandLine = z.strictObject({
  kind: z.literal('cli'),
  /** Folder of sbatch, squeue, sacct, scancel; default: found in PATH. */
  commands: absolutePath.optional(),
  /** SLURM_CONF for these commands. */
  conf: absolutePath.optional(),
});

const rest = z.strictObject({
  kind: z.literal('rest'),
  /** `http://host:6820` */
  url: z.url({ protocol: /^https?$/ }),
  /** The Slurm user whose jobs these are. */
  user: slurmName,
  /** The cluster's JWT key: a file with its bytes, or a secret with their base64. */
  key: z.union([z.strictObject({ file: absolutePath }), SecretRef]),
  /** `v0.0.38`; default: the newest that the daemon offers and we know. */
  version: z
    .string()
    .regex(/^v0\.0\.\d{2}$/)
    .optional(),
});

export const SlurmTarget = z.strictObject({
  transport: z.discriminatedUnion('kind', [commandLine, rest]),
  /** A folder that workers and compute nodes see under the same path. */
  folder: absolutePath,
  partition: slurmName.optional(),
  account: slurmName.optional(),
  qos: slurmName.optional(),
  reservation: slurmName.optional(),
  constraint: batchConstraint.optional(),
  /** Node.js on the compute nodes (for the wrapper); default: where the worker has it. */
  node: absolutePath.optional(),
  /** PATH of the programs on the compute nodes. */
  path: z
    .string()
    .regex(/^(\/[A-Za-z0-9._/@+=-]*)(:\/[A-Za-z0-9._/@+=-]*)*$/, 'expected absolute folders joined by ":"')
    .default('/usr/local/bin:/usr/bin:/bin'),
  /** Slurm starts a job again whose node failed or that was preempted; it resumes from its checkpoints folder. */
  requeue: z.boolean().default(true),
  /** The cluster's MaxArraySize (`scontrol show config`): larger arrays are then refused before anything is submitted. */
  maxArraySize: z.number().int().min(1).max(4_000_001).optional(),
  /** After an unclear answer to a submit: longer than the cluster's MessageTimeout (10 s by default). */
  unclearWaitMs: milliseconds.default(15_000),
  /** The cluster is asked so often at most, and so often at least while a job needs its word. */
  poll: z.strictObject({ fromMs: milliseconds.default(2_000), toMs: milliseconds.default(60_000) }).prefault({}),
});
export type SlurmTarget = z.output<typeof SlurmTarget>;

/** Targets by name: `lab` is `slurm:lab` in a loop file. */
export const SlurmTargets = z.record(slurmName, SlurmTarget);
export type SlurmTargets = z.output<typeof SlurmTargets>;

export const slurmTargetPrefix = 'slurm:';
