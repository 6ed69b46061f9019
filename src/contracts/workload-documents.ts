import { z } from 'zod';
import { ArtifactFile, type Digest, Digest as DigestSchema } from './digest.ts';
import { FailureClassSchema } from './job.ts';
import type { WorkloadSpec } from './workload-spec.ts';

const digest = DigestSchema.transform((text) => text as Digest);
const name = z.string().max(128);

/** Lists of files, as blobs. */
export const FileListDocument = z.array(ArtifactFile);

/** A workload as the store keeps it: what was written, and what it means with its scripts read. */
export const SubmittedWorkload = z.strictObject({
  schema: z.literal('goto3/workload/v1'),
  /** The file as parsed from YAML. */
  file: z.record(z.string(), z.unknown()),
  /** Checked by the client that wrote this document, units resolved. */
  spec: z.custom<WorkloadSpec>((value) => typeof value === 'object' && value !== null),
  folder: z.string(),
  scripts: z.record(name, z.strictObject({ file: z.string(), interpreter: z.array(z.string()), digest })),
  /** By job and input. `single`: the input is one file. */
  inputs: z.record(name, z.record(name, z.strictObject({ files: digest, single: z.string().optional() }))),
  submittedBy: z.string(),
});
export type SubmittedWorkload = z.infer<typeof SubmittedWorkload>;

/** How a job of a workload ended. */
export const WorkloadJobEnd = z.strictObject({
  schema: z.literal('goto3/workload-job-end/v1'),
  job: name,
  /** Of what it was asked to do: a changed job is not done by an old end. */
  identity: digest,
  state: z.enum(['succeeded', 'failed', 'cancelled']),
  failureClass: z.nullable(FailureClassSchema),
  reason: z.string(),
  lastAttempt: z.number().int().nonnegative(),
  output: z.nullable(digest),
  tasks: z.nullable(z.strictObject({ total: z.number().int(), succeeded: z.number().int(), manifest: digest })),
  durationMs: z.number(),
  gpuHours: z.number(),
  endedAt: z.string(),
});
export type WorkloadJobEnd = z.infer<typeof WorkloadJobEnd>;

/** Every task of an array over all attempts: its newest end. */
export const ArrayManifest = z.strictObject({
  schema: z.literal('goto3/array/v1'),
  tasks: z.array(
    z.strictObject({
      task: z.number().int().nonnegative(),
      state: z.enum(['succeeded', 'failed', 'cancelled']),
      failureClass: FailureClassSchema.optional(),
      reason: z.string().optional(),
      /** Name of the attempt that this end is of. */
      attempt: z.string(),
      output: z.nullable(digest),
      startedAt: z.string().optional(),
      endedAt: z.string().optional(),
    }),
  ),
});
export type ArrayManifest = z.infer<typeof ArrayManifest>;

export const WorkloadReport = z.strictObject({
  schema: z.literal('goto3/workload-report/v1'),
  workload: name,
  key: name,
  round: z.number().int(),
  submitted: digest,
  state: z.enum(['succeeded', 'failed']),
  jobs: z.number().int(),
  succeeded: z.number().int(),
  failed: z.number().int(),
  cancelled: z.number().int(),
  skipped: z.number().int(),
  endedAt: z.string(),
});
