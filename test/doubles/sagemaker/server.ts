import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { S3Client } from '@aws-sdk/client-s3';
import { ApiError } from './api-error.ts';
import { Lineage } from './lineage.ts';
import { LogStreams } from './log-streams.ts';
import { type Caller, ModelPackages } from './model-packages.ts';
import { Objects } from './objects.ts';
import type { CreateInput } from './training-job.ts';
import { type AccountRules, TrainingJobs } from './training-jobs.ts';

export interface DoubleOptions extends Partial<AccountRules> {
  /** With the rights of every job's role. */
  s3: S3Client;
  /** Where containers have their roots. */
  folder: string;
  /** Calls of one operation in a second; 2, the lowest that AWS is known to have (ListTrainingJobs), unless told. */
  callsPerSecond?: number;
  /** From SIGTERM to SIGKILL; 120 s on AWS. */
  graceMs?: number;
  /** What an access key is good for. */
  keyIs?: (accessKeyId: string) => 'valid' | 'expired' | 'unknown';
  /** Whose an access key is; default: a user of that name. */
  identityOf?: (accessKeyId: string) => string;
  /** Model package groups that the account may have. */
  packageGroups?: number;
  /** A new model package is Pending so long. */
  packageSettlesMs?: number;
}

export interface RecordedCall {
  service: string;
  operation: string;
  body: unknown;
  status: number;
  answer: unknown;
}

export interface SageMakerDouble {
  url: string;
  jobs: TrainingJobs;
  packages: ModelPackages;
  lineage: Lineage;
  calls: RecordedCall[];
  /** The next call of this operation is carried out, and its reply is lost. */
  loseReplyOf(operation: string): void;
  /** Replies that are still to be lost. */
  readonly repliesToLose: number;
  stop(): Promise<void>;
}

export const defaultRole = 'arn:aws:iam::123456789012:role/goto3-training';

/**
 * SageMaker training jobs with their CloudWatch logs, model packages and lineage: awsJson1.1 over HTTP on 127.0.0.1, stateful, with programs that really
 * run. Signatures are not checked, only which key signed for which region.
 */
export async function startSageMakerDouble(options: DoubleOptions): Promise<SageMakerDouble> {
  const { region = 'eu-central-1', account = '123456789012', callsPerSecond = 2 } = options;
  const { keyIs = () => 'valid' as const } = options;
  const logs = new LogStreams();
  const jobs = new TrainingJobs(
    {
      account,
      region,
      roles: options.roles ?? [defaultRole],
      quotas: options.quotas ?? {},
      capacity: options.capacity ?? {},
    },
    { objects: new Objects(options.s3), logs, folder: options.folder, region, graceMs: options.graceMs ?? 120_000 },
  );
  const packages = new ModelPackages(
    { account, region, settlesMs: options.packageSettlesMs ?? 20, groups: options.packageGroups ?? 1_000 },
    (ResourceArn, tags) => jobs.addTags({ ResourceArn, Tags: [...tags] }),
  );
  const lineage = new Lineage({ account, region });
  const { identityOf = (key: string) => `arn:aws:iam::${account}:user/${key}` } = options;
  const operations: Record<string, (input: never, caller: Caller) => object> = {
    'SageMaker.CreateModelPackageGroup': packages.createGroup.bind(packages),
    'SageMaker.DescribeModelPackageGroup': packages.describeGroup.bind(packages),
    'SageMaker.CreateModelPackage': packages.create.bind(packages),
    'SageMaker.DescribeModelPackage': packages.describe.bind(packages),
    'SageMaker.ListModelPackages': packages.list.bind(packages),
    'SageMaker.UpdateModelPackage': packages.update.bind(packages),
    'SageMaker.DeleteModelPackage': packages.delete.bind(packages),
    'SageMaker.CreateArtifact': lineage.createArtifact.bind(lineage),
    'SageMaker.ListArtifacts': lineage.listArtifacts.bind(lineage),
    'SageMaker.CreateAction': lineage.createAction.bind(lineage),
    'SageMaker.DescribeAction': lineage.describeAction.bind(lineage),
    'SageMaker.CreateContext': lineage.createContext.bind(lineage),
    'SageMaker.DescribeContext': lineage.describeContext.bind(lineage),
    'SageMaker.AddAssociation': lineage.addAssociation.bind(lineage),
    'SageMaker.ListAssociations': lineage.listAssociations.bind(lineage),
    'SageMaker.CreateTrainingJob': (input: CreateInput) => jobs.create(input),
    'SageMaker.DescribeTrainingJob': (input: object) => jobs.describe(input),
    'SageMaker.StopTrainingJob': (input: object) => jobs.stop(input),
    'SageMaker.AddTags': (input: object) => jobs.addTags(input),
    'SageMaker.ListTags': (input: object) => jobs.listTags(input),
    'Logs_20140328.DescribeLogStreams': (input: object) => logs.describeLogStreams(input),
    'Logs_20140328.GetLogEvents': (input: object) => logs.getLogEvents(input),
  };
  const calls: RecordedCall[] = [];
  const lost: string[] = [];
  const throttle = new Throttle(callsPerSecond);

  const server = createServer((request, response) => void serve(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    jobs,
    packages,
    lineage,
    calls,
    loseReplyOf: (operation) => lost.push(operation),
    get repliesToLose() {
      return lost.length;
    },
    async stop() {
      for (const job of jobs.all()) await job.destroy();
      server.closeAllConnections();
      server.close();
    },
  };

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const target = String(request.headers['x-amz-target'] ?? '');
    const [service = '', operation = ''] = target.split('.');
    const body = JSON.parse((await text(request)) || '{}') as never;
    let status = 200;
    let answer: object;
    try {
      const caller = { arn: identityOf(authenticate(request)) };
      if (!throttle.allows(operation)) throw new ApiError('ThrottlingException', 'Rate exceeded');
      const run = operations[target];
      if (!run) throw new ApiError('UnknownOperationException', `no ${target} here`);
      answer = run(body, caller);
    } catch (error) {
      const failure = error instanceof ApiError ? error : new ApiError('InternalFailure', String(error), 500);
      status = failure.status;
      answer = { __type: failure.code, message: failure.message };
    }
    calls.push({ service, operation, body, status, answer });
    if (lost.includes(operation)) {
      lost.splice(lost.indexOf(operation), 1);
      request.socket.destroy();
      return;
    }
    const headers = { 'content-type': 'application/x-amz-json-1.1', 'x-amzn-requestid': randomUUID() };
    response.writeHead(status, headers).end(JSON.stringify(answer));
  }

  /** Returns the access key. CommonErrors: ExpiredTokenException and UnrecognizedClientException, 403. */
  function authenticate(request: IncomingMessage): string {
    const scope = /Credential=([^/]+)\/\d{8}\/([^/]+)\//.exec(request.headers.authorization ?? '');
    if (!scope) throw new ApiError('MissingAuthenticationTokenException', 'Missing Authentication Token', 403);
    const is = keyIs(scope[1]!);
    if (is === 'expired')
      throw new ApiError('ExpiredTokenException', 'The security token included in the request is expired', 403);
    if (is === 'unknown')
      throw new ApiError('UnrecognizedClientException', 'The security token included in the request is invalid.', 403);
    // What every service says to a signature for elsewhere (IAM user guide, troubleshooting SigV4).
    if (scope[2] !== region)
      throw new ApiError('InvalidSignatureException', `Credential should be scoped to a valid region. `, 403);
    return scope[1]!;
  }
}

/** Refills evenly, with a burst of one second: as all of AWS's request throttling is described (EC2 API, "throttling"). */
class Throttle {
  readonly #callsPerSecond: number;
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>();

  constructor(callsPerSecond: number) {
    this.#callsPerSecond = callsPerSecond;
  }

  allows(operation: string): boolean {
    const now = performance.now();
    const bucket = this.#buckets.get(operation) ?? { tokens: this.#callsPerSecond, atMs: now };
    bucket.tokens = Math.min(
      this.#callsPerSecond,
      bucket.tokens + ((now - bucket.atMs) / 1_000) * this.#callsPerSecond,
    );
    bucket.atMs = now;
    this.#buckets.set(operation, bucket);
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }
}
