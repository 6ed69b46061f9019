import { SageMakerClient } from '@aws-sdk/client-sagemaker';
import { AwsCaller } from '../../aws/caller.ts';
import { chainCredentials, type RenewableCredentials } from '../../aws/credentials.ts';
import type { TokenBuckets } from '../../aws/token-bucket.ts';
import { isS3Address, parseS3Address } from '../../contracts/s3-address.ts';
import type { SageMakerTarget } from '../../contracts/sagemaker-target.ts';
import { trainingJobName } from '../../jobs/sagemaker/names.ts';
import type { Store } from '../../store/types.ts';
import { RegistryRefused } from './errors.ts';
import { LineageApi } from './lineage-api.ts';
import { ModelData } from './model-data.ts';
import { PackageApi } from './package-api.ts';
import { SageMakerRegistry, type SageMakerRegistryOptions } from './registry.ts';

export interface OpenRegistryOptions extends Pick<SageMakerRegistryOptions, 'store' | 'log'> {
  /** `prod` of `sagemaker:prod`. */
  name: string;
  target: SageMakerTarget;
  /** One for the whole process: limits are those of the account. */
  buckets: TokenBuckets;
  /** Default: the SDK's chain, or the target's profile. */
  credentials?: RenewableCredentials;
  /** See AwsCaller. */
  patienceMs?: number;
}

/** Throws `RegistryRefused` for a target without a registry, and for a store that SageMaker cannot read. */
export function openSageMakerRegistry(options: OpenRegistryOptions): SageMakerRegistry {
  const { name, target, store, buckets, patienceMs, log } = options;
  const { region, endpoint, role, callsPerSecond, registry } = target;
  if (!registry) throw new RegistryRefused(`sagemaker:${name} has no "registry"`);
  if (!isS3Address(store.url)) throw new RegistryRefused(whyNotReadable(name, store, region));
  const place = parseS3Address(store.url);
  const credentials = options.credentials ?? chainCredentials(target.profile);
  const account = role.split(':')[4]!;
  const caller = new AwsCaller({
    ...{ account, region, callsPerSecond, buckets, credentials },
    ...(patienceMs !== undefined && { patienceMs }),
    ...(log && { log }),
  });
  const client = new SageMakerClient({
    region,
    ...(endpoint !== undefined && { endpoint }),
    credentials: credentials.provide,
    // The caller retries, through the bucket that everybody shares.
    maxAttempts: 1,
  });
  const staging = `s3://${place.bucket}/${place.prefix}/training/`;
  const partition = role.split(':')[1]!;
  return new SageMakerRegistry({
    ...{ target: registry, store, place, name: `sagemaker:${name}` },
    packages: new PackageApi(client, caller),
    lineage: new LineageApi(client, caller),
    modelData: new ModelData(place, target.kms?.output),
    trainingJobArn: (job) =>
      `arn:${partition}:sagemaker:${region}:${account}:training-job/${trainingJobName(staging, job)}`,
    ...(log && { log }),
  });
}

const whyNotReadable = (name: string, { url }: Pick<Store, 'url'>, region: string): string =>
  `sagemaker:${name} reads models from S3, and the store is ${url}: set GOTO3_STORE, or "store" of the environment, to s3://bucket/prefix in ${region}`;
