import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { S3Client } from '@aws-sdk/client-s3';
import { TokenBuckets } from '../../../src/aws/token-bucket.ts';
import type { Digest } from '../../../src/contracts/digest.ts';
import { JobSpec } from '../../../src/contracts/job.ts';
import type { Registrable } from '../../../src/contracts/messages.ts';
import { SageMakerTarget } from '../../../src/contracts/sagemaker-target.ts';
import { type OpenRegistryOptions, openSageMakerRegistry } from '../../../src/registry/sagemaker/open.ts';
import type { SageMakerRegistry } from '../../../src/registry/sagemaker/registry.ts';
import { putJson, putManifest } from '../../../src/store/manifests.ts';
import { openStore } from '../../../src/store/open.ts';
import type { Store } from '../../../src/store/types.ts';
import {
  type DoubleOptions,
  defaultRole,
  type SageMakerDouble,
  startSageMakerDouble,
} from '../../doubles/sagemaker/server.ts';
import { eventually } from '../../jobs/eventually.ts';
import { awsVariables, region, Versitygw, withVariables } from '../../support/versitygw/server.ts';
import { credentials } from '../sagemaker/fixture.ts';

export const bucket = 'goto3-test';
export const prefix = 'store';

export interface RegistryFixture {
  double: SageMakerDouble;
  store: Store;
  target: SageMakerTarget;
  gateway: Versitygw;
  /** As another process would open it. */
  open(changes?: Partial<OpenRegistryOptions>): SageMakerRegistry;
  stop(): Promise<void>;
}

/** An account with a bucket on a real S3 server, and SageMaker's registry. */
export async function setUpRegistry(options: Partial<DoubleOptions> = {}): Promise<RegistryFixture> {
  const gateway = await Versitygw.start([bucket]);
  const restore = withVariables(awsVariables(gateway.url));
  const folder = await mkdtemp(join(tmpdir(), 'goto3-registry-'));
  const store = await openStore(`s3://${bucket}/${prefix}`, { s3: { endpoint: gateway.url, region } });
  const double = await startSageMakerDouble({
    s3: new S3Client({ region }),
    region,
    folder,
    callsPerSecond: 500,
    ...options,
  });
  const target = SageMakerTarget.parse({
    ...{ region, role: defaultRole, image: 'training', endpoint: double.url, callsPerSecond: 100 },
    instances: [{ type: 'ml.m5.xlarge', cpus: 4, memory: '16GiB' }],
    registry: {
      image: '123456789012.dkr.ecr.us-east-1.amazonaws.com/serving:1',
      instances: ['ml.m5.large'],
      pollMs: 100,
    },
  });
  return {
    ...{ double, store, target, gateway },
    open: (changes = {}) =>
      openSageMakerRegistry({
        ...{
          name: 'double',
          target,
          store,
          buckets: new TokenBuckets(),
          credentials: credentials(),
          patienceMs: 20_000,
        },
        ...changes,
      }),
    stop: async () => {
      await double.stop();
      restore();
      await gateway.stop();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** A candidate as a cycle leaves it: dataset, run, model with two files, evaluation, verdict. */
export async function putCandidate(store: Store, name: string, runsOn?: string): Promise<Registrable> {
  const createdAt = '2002-08-01T00:00:00.000Z';
  const put = async (text: string): Promise<Digest> => await store.blobs.put(Buffer.from(text));
  const file = async (path: string, text: string) => ({ path, digest: await put(text), sizeBytes: text.length });
  const dataset = await putManifest(store, {
    ...{ kind: 'Dataset', parents: [], createdAt, loop: name, segments: [], rowCount: 400 },
    ...{ classCounts: { ham: 200, spam: 200 }, cursor: '400', holdoutShare: 0.2 },
    columns: { id: 'id', time: 'at', label: 'kind', features: ['x', 'y'] },
  });
  const resources = { gpus: 0, cpus: 1, memoryBytes: 2 ** 30, timeLimitMs: 60_000 };
  const jobSpec = await putJson(store, JobSpec, {
    ...{ name: `${name}/1/train`, program: ['node', 'train.ts'], workingDirectory: '/', environment: {} },
    ...{ hyperparameters: {}, channels: {}, resources, progressTimeoutMs: 60_000, nice: 0 },
    ...(runsOn !== undefined && { runsOn }),
  });
  const run = await putManifest(store, {
    ...{ kind: 'Run', parents: [dataset], createdAt, job: `${name}/1/train`, jobSpec, program: ['node', 'train.ts'] },
    ...{ hyperparameters: {}, metrics: { loss: 0.25 }, durationMs: 1_500, attempts: 1 },
  });
  const candidate = await putManifest(store, {
    ...{ kind: 'Model', parents: [run, dataset], createdAt, model: name, loop: name, cycle: 1, precision: 'fp32' },
    files: [await file('model.onnx', `graph of ${name}`), await file('signature.json', '{}')],
    signature: {
      ...{ schema: 'goto3/signature/v1', task: 'binary-classification', labels: ['ham', 'spam'], output: 'p' },
      preprocessing: { kind: 'numeric', features: ['x', 'y'] },
    },
    ...{ sizeBytes: 100, run, dataset },
  });
  const evaluation = await putManifest(store, {
    ...{ kind: 'Evaluation', parents: [candidate, dataset], createdAt, model: candidate, dataset, slices: {} },
    ...{ outcomes: await put(''), rowCount: 80, sizeBytes: 100, servable: true },
    metrics: {
      accuracy: { value: 0.9, lower: 0.85, upper: 0.95, rows: 80 },
      falsePositiveRate: { value: 0.02, lower: null, upper: null, rows: 40 },
      auc: { value: null, lower: null, upper: null, rows: 0 },
    },
    latency: { p50Ms: 1, p95Ms: 1, p99Ms: 1, samples: 80 },
  });
  const verdict = await putManifest(store, {
    ...{
      kind: 'Verdict',
      parents: [candidate],
      createdAt,
      candidate,
      champion: null,
      anchor: null,
      gate: await put('{}'),
    },
    evaluations: [evaluation],
    verdict: {
      ...{ result: 'pass', reasons: ['every bound holds'], bounds: [], rows: 80, rowsNeeded: null },
      ...{ servable: true, withoutChampion: true },
    },
  });
  return { registry: 'sagemaker:double', loop: name, n: 1, model: name, candidate, verdict };
}

/** Publishes until SageMaker has made it; what else fails, fails. */
export async function published(registry: SageMakerRegistry, registrable: Registrable): Promise<string> {
  return await eventually('its package', async () =>
    registry.publish(registrable).catch((error: Error) => {
      if (error.name !== 'PackageNotReady') throw error;
      return undefined;
    }),
  );
}
