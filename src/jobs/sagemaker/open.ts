import { CloudWatchLogsClient } from '@aws-sdk/client-cloudwatch-logs';
import { SageMakerClient } from '@aws-sdk/client-sagemaker';
import { AwsCaller } from '../../aws/caller.ts';
import { chainCredentials, type RenewableCredentials } from '../../aws/credentials.ts';
import type { TokenBuckets } from '../../aws/token-bucket.ts';
import type { Digest } from '../../contracts/digest.ts';
import type { JobRunner } from '../../contracts/job.ts';
import { isS3Address, parseS3Address } from '../../contracts/s3-address.ts';
import type { SageMakerTarget } from '../../contracts/sagemaker-target.ts';
import { Bucket } from '../../store/s3/bucket.ts';
import { s3Clients } from '../../store/s3/client.ts';
import type { Store } from '../../store/types.ts';
import { InvalidJob } from '../errors.ts';
import { JobBucket } from './job-bucket.ts';
import { JobLogs } from './job-log.ts';
import { createSageMakerRunner, type SageMakerRunnerOptions } from './runner.ts';
import { TrainingApi } from './training-api.ts';

export interface OpenSageMakerOptions
  extends Pick<SageMakerRunnerOptions, 'name' | 'secrets' | 'folder' | 'limits' | 'settleMs' | 'log'> {
  target: SageMakerTarget;
  store: Pick<Store, 'blobs' | 'url'>;
  /** One for the whole process: limits are those of the account. */
  buckets: TokenBuckets;
  /** Default: the SDK's chain, or the target's profile. */
  credentials?: RenewableCredentials;
  /** See AwsCaller. */
  patienceMs?: number;
}

/** A runner for one target. Throws `InvalidJob` for a store that SageMaker cannot read. */
export async function openSageMakerRunner(options: OpenSageMakerOptions): Promise<JobRunner> {
  const { name, target, store, buckets, patienceMs, log } = options;
  if (!isS3Address(store.url))
    throw new InvalidJob(
      `sagemaker:${name} reads its inputs from S3, and the store is ${store.url}: set GOTO3_STORE, or "store" of the environment, to s3://bucket/prefix in ${target.region}`,
    );
  const { bucket, prefix } = parseS3Address(store.url);
  const { region, endpoint, role, callsPerSecond } = target;
  const credentials = options.credentials ?? chainCredentials(target.profile);
  const caller = new AwsCaller({
    ...{ account: role.split(':')[4]!, region, role, callsPerSecond, buckets, credentials },
    ...(patienceMs !== undefined && { patienceMs }),
    ...(log && { log }),
  });
  const client = {
    region,
    ...(endpoint !== undefined && { endpoint }),
    credentials: credentials.provide,
    // The caller retries, through the bucket that everybody shares.
    maxAttempts: 1,
  };
  const kmsKey = target.kms?.output;
  return createSageMakerRunner({
    ...options,
    training: new TrainingApi(new SageMakerClient(client), caller),
    logs: new JobLogs(new CloudWatchLogsClient(client), caller),
    bucket: new JobBucket(bucket, new Bucket(await s3Clients({}), { bucket, ...(kmsKey !== undefined && { kmsKey }) })),
    prefix: `${prefix}/training/`,
    keyOfBlob: (digest) => blobKey(prefix, digest),
  });
}

/** The store's layout (src/store/s3/blobs.ts): two digits of the hash, and all of them. */
const blobKey = (root: string, digest: Digest): string => {
  const hex = digest.slice('sha256:'.length);
  return `${root}/blobs/${hex.slice(0, 2)}/${hex}`;
};
