import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { S3Client } from '@aws-sdk/client-s3';
import { type RenewableCredentials, renewable } from '../../../src/aws/credentials.ts';
import { TokenBuckets } from '../../../src/aws/token-bucket.ts';
import type { JobOutputs, JobRef, JobRunner } from '../../../src/contracts/job.ts';
import { SageMakerTarget } from '../../../src/contracts/sagemaker-target.ts';
import type { ProgramRecord } from '../../../src/jobs/local/job-folder.ts';
import type { WrapperLimits } from '../../../src/jobs/local/launch.ts';
import { signalProcess } from '../../../src/jobs/local/program-processes.ts';
import { type OpenSageMakerOptions, openSageMakerRunner } from '../../../src/jobs/sagemaker/open.ts';
import { openStore } from '../../../src/store/open.ts';
import type { Store } from '../../../src/store/types.ts';
import {
  type DoubleOptions,
  defaultRole,
  type SageMakerDouble,
  startSageMakerDouble,
} from '../../doubles/sagemaker/server.ts';
import type { TrainingJob } from '../../doubles/sagemaker/training-job.ts';
import type { RunnerFixture } from '../../jobs/conformance.ts';
import { eventually } from '../../jobs/eventually.ts';
import { awsVariables, region, Versitygw, withVariables } from '../../support/versitygw/server.ts';

export const limits: WrapperLimits = {
  graceMs: 2_000,
  renewWithinMs: 5_000,
  watchEveryMs: 20,
  memoryCheckEveryMs: 50,
  logCapBytes: 2 ** 20,
};

export const credentials = (accessKeyId = 'AKIATEST'): RenewableCredentials =>
  renewable(() => async () => ({ accessKeyId, secretAccessKey: 'secret' }));

export interface SageMakerFixture extends RunnerFixture {
  double: SageMakerDouble;
  store: Store;
  target: SageMakerTarget;
  root: string;
  storeUrl: string;
  gatewayUrl: string;
  runnerWith(target: Partial<SageMakerTarget>, more?: Partial<OpenSageMakerOptions>): Promise<JobRunner>;
  jobOf(ref: Pick<JobRef, 'externalId'>): TrainingJob;
}

/** An account with a bucket: a real S3 server, and a SageMaker that runs on this machine. */
export async function setUpSageMaker(
  options: Partial<DoubleOptions> = {},
  targeted: Partial<SageMakerTarget> = {},
): Promise<SageMakerFixture> {
  const root = await mkdtemp(join(tmpdir(), 'goto3-sagemaker-'));
  const gateway = await Versitygw.start(['goto3-test']);
  const restore = withVariables(awsVariables(gateway.url));
  const programsFolder = join(root, 'programs');
  const folder = join(root, 'worker');
  await mkdir(programsFolder);
  await mkdir(folder);
  const storeUrl = 's3://goto3-test/store';
  const store = await openStore(storeUrl, { s3: { endpoint: gateway.url, region } });
  const s3 = new S3Client({
    endpoint: gateway.url,
    forcePathStyle: true,
    region,
    credentials: {
      accessKeyId: awsVariables('').AWS_ACCESS_KEY_ID!,
      secretAccessKey: awsVariables('').AWS_SECRET_ACCESS_KEY!,
    },
  });
  const double = await startSageMakerDouble({
    s3,
    region,
    folder: join(root, 'aws'),
    callsPerSecond: 200,
    graceMs: 4_000,
    capacity: { 'ml.g5.xlarge': 1 },
    ...options,
  });
  const target = {
    ...SageMakerTarget.parse({
      region,
      role: defaultRole,
      image: '123456789012.dkr.ecr.us-east-1.amazonaws.com/goto3:20',
      instances: [
        { type: 'ml.m5.xlarge', cpus: 4, memory: '16GiB' },
        { type: 'ml.g5.xlarge', cpus: 4, memory: '16GiB', gpus: 1 },
      ],
      code: 'image',
      endpoint: double.url,
      callsPerSecond: 100,
      poll: { fromMs: 40, toMs: 100 },
    }),
    ...targeted,
  };
  const tokenSecret = randomBytes(24).toString('hex');
  const open = (changes: Partial<SageMakerTarget> = {}, more: Partial<OpenSageMakerOptions> = {}): Promise<JobRunner> =>
    openSageMakerRunner({
      name: 'double',
      target: { ...target, ...changes },
      store,
      buckets: new TokenBuckets(),
      credentials: credentials(),
      secrets: { resolve: async () => tokenSecret },
      folder,
      limits,
      settleMs: 3_000,
      ...more,
    });
  const runners = await Promise.all(Array.from({ length: 8 }, () => open()));
  let used = 0;
  const jobOf = ({ externalId }: Pick<JobRef, 'externalId'>) => double.jobs.job(externalId.split('/')[1]!);
  const liveRoot = (ref: JobRef): Promise<string> =>
    eventually('a container', async () => jobOf(ref).starts.at(-1)?.root);
  return {
    ...{ double, store, target, root, storeUrl, gatewayUrl: gateway.url, programsFolder, tokenSecret, jobOf },
    runnerWith: open,
    runner: runners[0]!,
    anotherRunner: () => runners[(used++ % (runners.length - 1)) + 1]!,
    put: async (bytes) => await store.blobs.put(bytes),
    liveFolders: async (ref): Promise<JobOutputs> => {
      const ml = join(await liveRoot(ref), 'opt/ml');
      return {
        modelDirectory: join(ml, 'model'),
        dataDirectory: join(ml, 'output/data'),
        checkpointDirectory: join(ml, 'checkpoints'),
      };
    },
    killProgram: async (ref) => {
      const path = join(await liveRoot(ref), 'opt/program.json');
      signalProcess(JSON.parse(readFileSync(path, 'utf8')) as ProgramRecord, 'SIGKILL');
    },
    scarce: { gpus: 1, cpus: 1, memoryBytes: 2 ** 30, timeLimitMs: 60_000 },
    hiddenVariable: 'AWS_SECRET_ACCESS_KEY',
    // What the worker keeps, what the container holds, and what lies in the bucket.
    filesFolder: root,
    stop: async () => {
      await double.stop();
      restore();
      await gateway.stop();
      await rm(root, { recursive: true, force: true });
    },
  };
}
