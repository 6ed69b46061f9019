import { z } from 'zod';
import { isSafeRelativePath } from './digest.ts';
import { failureClasses } from './failures.ts';
import { batchConstraint } from './job.ts';
import { environment, program, withUnit } from './loop-spec.ts';
import { isName } from './names.ts';
import { parseDuration, parseSize } from './units.ts';
import { type ArrayRange, parseArray } from './workload-array.ts';
import { workloadProblems } from './workload-rules.ts';

/**
 * `workload.yaml` (DESIGN §7): a DAG of HPC jobs. The input side is what people write, units included; the output side
 * (`WorkloadSpec`) is what the rest of the code reads. `goto3 schema workload` publishes the input side as JSON Schema.
 */
const duration = withUnit((text) => parseDuration(text), '10m');
const size = withUnit(parseSize, '1GiB');
const slurmName = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, 'expected letters, digits, "_", "." and "-", at most 64 characters');

export const workloadName = z
  .string()
  .refine(isName, 'expected lower-case letters, digits, ".", "_" and "-", at most 63 characters');
/** Without "_" and ".", so that names of jobs stay apart as channels, as refs and in `${job.outputs}`. */
export const workloadJobName = z
  .string()
  .regex(/^[a-z](?:[a-z0-9-]{0,38}[a-z0-9])?$/, 'expected lower-case letters, digits and "-", at most 40 characters');
const inputName = z
  .string()
  .regex(/^[a-z][a-z0-9_]{0,39}$/, 'expected lower-case letters, digits and "_", at most 40 characters');
const relativePath = z
  .string()
  .refine(
    (path) => path === '.' || isSafeRelativePath(path.replace(/^\.\//, '').replace(/\/$/, '')),
    'expected a path below the folder of this file, without ".."',
  );
const runsOn = z.union([
  z.literal('local'),
  z.string().regex(/^slurm:[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, 'expected "local" or "slurm:<target>"'),
]);

const resources = z.strictObject({
  nodes: z.number().int().min(1).max(10_000).optional(),
  /** Processes in all; default: one a node. */
  tasks: z.number().int().min(1).max(1_000_000).optional(),
  cpusPerTask: z.number().int().min(1).max(4_096).optional(),
  memoryPerNode: size.optional(),
  gpusPerNode: z.number().int().min(0).max(64).optional(),
  time: duration.optional(),
  /** Nodes with an Elastic Fabric Adapter: the feature `efa`. */
  efa: z.boolean().optional(),
  constraint: batchConstraint.optional(),
  exclusive: z.boolean().optional(),
  /** Where escalation ends after `outOfMemory` and `timeLimit`; default: four times what is asked for. */
  upTo: z.strictObject({ memoryPerNode: size.optional(), time: duration.optional() }).optional(),
});

const array = withUnit<ArrayRange>(parseArray, '0-63%16');
const retries = z.partialRecord(z.enum(failureClasses), z.number().int().min(0).max(100));

const job = z.strictObject({
  /** argv; nothing passes through a shell. `${…}` is filled in where it starts. */
  run: program.optional(),
  /** An `#SBATCH` script as it is, by its path: its directives count where this file says nothing. */
  script: relativePath.optional(),
  runsOn: runsOn.optional(),
  array: array.optional(),
  /** Starts one process a task; absent: the program is started once, on the first node. */
  launcher: z.enum(['srun', 'mpirun']).optional(),
  needs: z.record(workloadJobName, z.enum(['succeeded', 'finished', 'each'])).default({}),
  /** Files and folders beside this file, copied into the store at submit: `SM_CHANNEL_<NAME>`, `${inputs.<name>}`. */
  inputs: z.record(inputName, relativePath).default({}),
  /** Files that must be in `SM_OUTPUT_DATA_DIR` (`${output}`) at the end, of every task. */
  outputs: z
    .array(z.string().refine(isSafeRelativePath, 'expected a path below the output folder, without ".."'))
    .max(100)
    .default([]),
  env: environment.default({}),
  resources: resources.prefault({}),
  /** Tried in this order: after `preempted` and `capacity` the next one has its turn. */
  partitions: z.array(slurmName).min(1).max(10).optional(),
  /** In the queue for so long: class `capacity`. */
  startWithin: duration.optional(),
  account: slurmName.optional(),
  qos: slurmName.optional(),
  reservation: slurmName.optional(),
  progressTimeout: duration.optional(),
  /** How often a class is tried again at most; what is not named keeps its own rule (docs/hpc.md). */
  retries: retries.optional(),
});

export const WorkloadSpecSchema = z
  .strictObject({
    apiVersion: z.literal('goto3/v1'),
    workload: workloadName,
    runsOn: runsOn.default('local'),
    env: environment.default({}),
    jobs: z
      .record(workloadJobName, job)
      .refine((jobs) => Object.keys(jobs).length > 0, 'expected at least one job')
      .refine((jobs) => Object.keys(jobs).length <= 10_000, 'expected at most 10,000 jobs'),
    /** `park`: a failed job waits for `goto3 workload resume`; `end`: the run ends as failed. */
    onFailure: z.enum(['park', 'end']).default('park'),
    /** US dollars for one node-hour, by partition: what `plan` reckons with. */
    prices: z.record(slurmName, z.strictObject({ perNodeHour: z.number().nonnegative() })).optional(),
  })
  .superRefine((spec, context) => {
    for (const { path, message } of workloadProblems(spec)) context.addIssue({ code: 'custom', path, message });
  });

/** What people write. */
export type WorkloadFile = z.input<typeof WorkloadSpecSchema>;
/** What the code reads: units resolved, defaults filled in. */
export type WorkloadSpec = z.output<typeof WorkloadSpecSchema>;
export type WorkloadJob = WorkloadSpec['jobs'][string];
export type WorkloadResources = WorkloadJob['resources'];

/** Type-checks a workload written in TypeScript. */
export const defineWorkload = (file: WorkloadFile): WorkloadFile => file;
