import type { JobSpec } from '../contracts/job.ts';
import { taskNumbers } from '../contracts/workload-array.ts';

/**
 * The SageMaker training container contract: folders, files under input/config and the `SM_*` variables. SageMaker's
 * platform gives the files, its training toolkit gives the variables (aws/sagemaker-training-toolkit,
 * ENVIRONMENT_VARIABLES.md), so a runner of ours gives both. Pure.
 */

/** The folders of the contract; `root` stands where /opt/ml stands in a container. */
export function containerFolders(root: string) {
  return {
    root,
    input: `${root}/input`,
    config: `${root}/input/config`,
    data: `${root}/input/data`,
    model: `${root}/model`,
    output: `${root}/output`,
    outputData: `${root}/output/data`,
    /** Text that says why the program failed; SageMaker shows its first 1,024 characters. */
    failureFile: `${root}/output/failure`,
    checkpoints: `${root}/checkpoints`,
  } as const;
}
export type ContainerFolders = { readonly [K in keyof ReturnType<typeof containerFolders>]: string };

/** What the machine adds to the spec. */
export interface HostFacts {
  currentHost: string;
  /** All hosts of the job, the same list on each of them. */
  hosts: readonly string[];
  networkInterface: string;
  /** Device ids for `CUDA_VISIBLE_DEVICES`; undefined where a batch system sets it itself. */
  devices?: readonly string[];
}

/** The files under input/config, by name. Hyperparameters are strings, as SageMaker passes them. */
export function configFiles(spec: JobSpec, host: HostFacts): Record<string, string> {
  return {
    'hyperparameters.json': JSON.stringify(spec.hyperparameters),
    'inputdataconfig.json': JSON.stringify(inputDataConfig(spec)),
    'resourceconfig.json': JSON.stringify(resourceConfig(host)),
  };
}

/** The `SM_*` variables and `TRAINING_JOB_NAME` of one run. */
export function containerEnvironment(
  spec: JobSpec,
  folders: ContainerFolders,
  host: HostFacts,
): Record<string, string> {
  const channels = Object.keys(spec.channels).sort();
  return {
    TRAINING_JOB_NAME: spec.name,
    SM_INPUT_DIR: folders.input,
    SM_INPUT_CONFIG_DIR: folders.config,
    SM_MODEL_DIR: folders.model,
    SM_OUTPUT_DIR: folders.output,
    SM_OUTPUT_DATA_DIR: folders.outputData,
    SM_CHECKPOINT_DIR: folders.checkpoints,
    SM_CHANNELS: JSON.stringify(channels),
    ...Object.fromEntries(channels.map((name) => [`SM_CHANNEL_${name.toUpperCase()}`, `${folders.data}/${name}`])),
    SM_HPS: JSON.stringify(spec.hyperparameters),
    ...hyperparameterVariables(spec.hyperparameters),
    SM_USER_ARGS: JSON.stringify(Object.entries(spec.hyperparameters).flatMap(([name, value]) => [`--${name}`, value])),
    SM_NUM_CPUS: String(spec.resources.cpus),
    SM_NUM_GPUS: String(spec.resources.gpus),
    SM_CURRENT_HOST: host.currentHost,
    SM_HOSTS: JSON.stringify(host.hosts),
    SM_NETWORK_INTERFACE_NAME: host.networkInterface,
    SM_INPUT_DATA_CONFIG: JSON.stringify(inputDataConfig(spec)),
    SM_RESOURCE_CONFIG: JSON.stringify(resourceConfig(host)),
    SM_LOG_LEVEL: '20',
    // An empty list hides all devices: a job that asked for none must not take memory of somebody's GPU.
    ...(host.devices === undefined ? {} : { CUDA_VISIBLE_DEVICES: host.devices.join(',') }),
  };
}

/** `batch-size` → `SM_HP_BATCH-SIZE`: upper case, the dash kept. A name with `=` cannot be a variable; `SM_HPS` has it. */
function hyperparameterVariables(hyperparameters: JobSpec['hyperparameters']): Record<string, string> {
  return Object.fromEntries(
    Object.entries(hyperparameters)
      .filter(([name]) => !name.includes('='))
      .map(([name, value]) => [`SM_HP_${name.toUpperCase()}`, value]),
  );
}

const inputDataConfig = (spec: JobSpec) =>
  Object.fromEntries(
    Object.keys(spec.channels)
      .sort()
      .map((name) => [
        name,
        { TrainingInputMode: 'File', S3DistributionType: 'FullyReplicated', RecordWrapperType: 'None' },
      ]),
  );

const resourceConfig = (host: HostFacts) => ({
  current_host: host.currentHost,
  hosts: host.hosts,
  network_interface_name: host.networkInterface,
});

/** What a program may see of the host's own environment. Everything else, credentials above all, stays outside. */
const allowedNames = new Set([
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'SHELL',
  'LANG',
  'LANGUAGE',
  'TZ',
  'TMPDIR',
  'LD_LIBRARY_PATH',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
  'NODE_EXTRA_CA_CERTS',
]);

export function allowedEnvironment(environment: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).filter(
      (entry): entry is [string, string] =>
        entry[1] !== undefined && (allowedNames.has(entry[0]) || entry[0].startsWith('LC_')),
    ),
  );
}

/** Devices that a batch system has given to the job, by the names that the runtimes read. */
const deviceNames = new Set(['CUDA_VISIBLE_DEVICES', 'ROCR_VISIBLE_DEVICES', 'GPU_DEVICE_ORDINAL', 'ZE_AFFINITY_MASK']);

/** What a batch system tells the job, which `srun` and `mpirun` in a program need. A token of the cluster is not for it. */
export function batchEnvironment(environment: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).filter(
      (entry): entry is [string, string] =>
        entry[1] !== undefined &&
        (deviceNames.has(entry[0]) || (entry[0].startsWith('SLURM') && entry[0] !== 'SLURM_JWT')),
    ),
  );
}

/** The same words for a program that was written for Slurm and runs on one machine without it. */
export function likeBatchEnvironment(
  { array, batch, resources }: JobSpec,
  task: number | undefined,
): Record<string, string> {
  const tasks = array && task !== undefined ? taskNumbers(array.tasks) : [];
  return {
    ...(tasks.length > 0 && {
      SLURM_ARRAY_TASK_ID: String(task),
      SLURM_ARRAY_TASK_COUNT: String(tasks.length),
      SLURM_ARRAY_TASK_MIN: String(tasks[0]),
      SLURM_ARRAY_TASK_MAX: String(tasks.at(-1)),
    }),
    ...(batch && { SLURM_NTASKS: String(batch.tasks), SLURM_CPUS_PER_TASK: String(resources.cpus) }),
  };
}

/** Linux refuses a single variable or argument from 128 KiB on (MAX_ARG_STRLEN, execve(2)). */
const longestVariableBytes = 128 * 1024 - 64;

/** Why no runner could hand this spec to a program; undefined when it can. Zod has checked the shape before. */
export function unrunnable(spec: JobSpec): string | undefined {
  if (!spec.workingDirectory.startsWith('/')) return 'workingDirectory: expected an absolute path';
  if (Object.keys(spec.hyperparameters).length > 100) return 'hyperparameters: expected at most 100';
  for (const [field, text] of [
    ['program', spec.program.join(' ')],
    ['workingDirectory', spec.workingDirectory],
    ['environment', JSON.stringify(spec.environment)],
    ['hyperparameters', JSON.stringify(spec.hyperparameters)],
  ] as const) {
    if (text.includes('\0') || text.includes('\\u0000')) return `${field}: expected text without NUL characters`;
    if (Buffer.byteLength(text) > longestVariableBytes) return `${field}: expected less than 128 KiB in all`;
  }
  return undefined;
}
