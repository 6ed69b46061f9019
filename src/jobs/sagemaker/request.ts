import type { Channel, CreateTrainingJobCommandInput } from '@aws-sdk/client-sagemaker';
import type { Digest } from '../../contracts/digest.ts';
import type { JobSpec } from '../../contracts/job.ts';
import type { SageMakerInstance, SageMakerTarget } from '../../contracts/sagemaker-target.ts';
import { InvalidJob } from '../errors.ts';
import { type JobKeys, launchChannel, secretsVariable, specVariable } from './names.ts';

/** Limits of CreateTrainingJob and StoppingCondition (APIReference, API_CreateTrainingJob, API_StoppingCondition). */
const mostChannels = 20;
const longestRunSeconds = 28 * 24 * 3_600;
/** Beside the program's time: to place its inputs, to save at a stop, and to report. */
const overheadSeconds = 300;

/** Where SageMaker has its folders in every container. */
export const containerRoot = '/opt/ml';

export interface RequestParts {
  name: string;
  spec: JobSpec;
  specDigest: Digest;
  target: SageMakerTarget;
  instance: SageMakerInstance;
  bucket: string;
  keys: JobKeys;
  /** Channels with files, beside the launcher's own. */
  channels: readonly string[];
  /** `<id>.<key>`: which secrets object is this submit's, and what opens it. */
  secrets?: string;
}

/** CreateTrainingJob for a job. Throws `InvalidJob` for what no instance of SageMaker would take. Pure. */
export function createTrainingJobInput(parts: RequestParts): CreateTrainingJobCommandInput {
  const { name, spec, specDigest, target, instance, bucket, keys, channels, secrets } = parts;
  const uri = (key: string): string => `s3://${bucket}/${key}`;
  const runSeconds = runtimeSeconds(spec);
  const { spot, vpc, kms, experiment } = target;
  return {
    TrainingJobName: name,
    RoleArn: target.role,
    AlgorithmSpecification: {
      TrainingImage: target.image,
      TrainingInputMode: 'File',
      ContainerEntrypoint: [target.node, `${containerRoot}/input/data/${launchChannel}/launcher.mjs`],
    },
    HyperParameters: spec.hyperparameters,
    InputDataConfig: [
      channel(launchChannel, 'S3Prefix', uri(keys.launch)),
      ...channels.map((each) => channel(each, 'ManifestFile', uri(keys.manifest(each)))),
    ],
    OutputDataConfig: { S3OutputPath: uri(keys.output), ...(kms?.output !== undefined && { KmsKeyId: kms.output }) },
    CheckpointConfig: { S3Uri: uri(keys.checkpoints), LocalPath: `${containerRoot}/checkpoints` },
    ResourceConfig: {
      InstanceType: instance.type as NonNullable<CreateTrainingJobCommandInput['ResourceConfig']>['InstanceType'],
      InstanceCount: 1,
      VolumeSizeInGB: target.volumeGiB,
      ...(kms?.volume !== undefined && { VolumeKmsKeyId: kms.volume }),
      ...(target.keepAliveMs !== undefined && { KeepAlivePeriodInSeconds: Math.ceil(target.keepAliveMs / 1_000) }),
    },
    StoppingCondition: {
      MaxRuntimeInSeconds: runSeconds,
      ...(spot && { MaxWaitTimeInSeconds: runSeconds + Math.ceil(spot.waitMs / 1_000) }),
    },
    EnableManagedSpotTraining: spot !== undefined,
    EnableNetworkIsolation: target.networkIsolation,
    ...(vpc && { VpcConfig: { Subnets: vpc.subnets, SecurityGroupIds: vpc.securityGroups } }),
    ...(experiment && {
      ExperimentConfig: {
        ExperimentName: experiment.name,
        ...(experiment.trial !== undefined && { TrialName: experiment.trial }),
        TrialComponentDisplayName: name,
      },
    }),
    Environment: { [specVariable]: specDigest, ...(secrets !== undefined && { [secretsVariable]: secrets }) },
    Tags: Object.entries({ ...target.tags, 'goto3:job': spec.name, 'goto3:spec': specDigest }).map(([Key, Value]) => ({
      Key,
      Value,
    })),
  };
}

/** What cannot be asked of SageMaker, whatever the target; undefined for what can. Pure. */
export function notForSageMaker(spec: JobSpec): string | undefined {
  if (spec.array) return 'array: this runner runs one task; run the workload on slurm:<target>';
  if (spec.batch && (spec.batch.nodes > 1 || spec.batch.tasks > 1))
    return 'batch: this runner gives one instance; run it on slurm:<target>';
  const { length } = Object.keys(spec.channels);
  if (length + 3 > mostChannels) return `channels: expected at most ${mostChannels - 3}, got ${length}`;
  if (runtimeSeconds(spec) > longestRunSeconds) return 'resources.timeLimitMs: SageMaker ends a job after 28 days';
  return undefined;
}

const runtimeSeconds = (spec: JobSpec): number => Math.ceil(spec.resources.timeLimitMs / 1_000) + overheadSeconds;

const channel = (name: string, type: 'S3Prefix' | 'ManifestFile', uri: string): Channel => ({
  ChannelName: name,
  InputMode: 'File',
  DataSource: { S3DataSource: { S3DataType: type, S3Uri: uri, S3DataDistributionType: 'FullyReplicated' } },
});

export function noInstance(spec: JobSpec, target: SageMakerTarget): InvalidJob {
  const { cpus, gpus, memoryBytes } = spec.resources;
  const types = target.instances.map(({ type }) => type).join(', ');
  return new InvalidJob(
    `job ${spec.name}, resources: none of the target's instances (${types}) has ${cpus} cpus, ${gpus} gpus and ${memoryBytes} bytes of memory`,
  );
}
