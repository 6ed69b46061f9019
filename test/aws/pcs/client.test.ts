import assert from 'node:assert/strict';
import { kindOfAwsError } from '../../../src/aws/errors.ts';
import { PCSClient } from '../../../src/aws/pcs/client.ts';
import { clientTokenOf } from '../../../src/aws/pcs/client-token.ts';
import type { PcsCommand } from '../../../src/aws/pcs/command.ts';
import * as commands from '../../../src/aws/pcs/commands.ts';
import { endpointFromEnvironment, pcsEndpoint } from '../../../src/aws/pcs/endpoint.ts';
import { checkInput, inputs, type Operation } from '../../../src/aws/pcs/inputs.ts';
import { loadPcs } from '../../../src/aws/pcs/load.ts';
import { pauseBeforeRetry } from '../../../src/aws/pcs/retry.ts';
import {
  ConflictException,
  ResourceNotFoundException,
  ServiceQuotaExceededException,
  ThrottlingException,
  ValidationException,
} from '../../../src/aws/pcs/service-errors.ts';
import { readAnswer } from '../../../src/aws/pcs/wire.ts';
import { clusterWish, credentials, groupWish, type PcsFixture, region, setUpPcs } from './fixture.ts';

const { CreateClusterCommand, GetClusterCommand, DeleteClusterCommand, ListClustersCommand } = commands;
const { CreateComputeNodeGroupCommand, UpdateComputeNodeGroupCommand, GetComputeNodeGroupCommand } = commands;
const mine = { clusterIdentifier: 'simulations' };

describe('PCS client against the double', () => {
  let fixture: PcsFixture;
  beforeEach(async () => {
    fixture = await setUpPcs();
  });
  afterEach(async () => {
    assert.equal(fixture.double.pending(), 0, 'every fault was met');
    await fixture.stop();
  });
  const send = <O extends Operation>(command: PcsCommand<O>) => fixture.client.send(command);
  const createWith = (clusterName: string, clientToken: string) =>
    send(new CreateClusterCommand({ ...clusterWish, clusterName, clientToken }));
  const codes = (operation: string) => fixture.double.calls.filter((call) => call.operation === operation);

  it('a cluster comes to life, and says where its REST API and the key of its tokens are', async () => {
    const { cluster: made } = await send(new CreateClusterCommand(clusterWish));
    assert.equal(made!.status, 'CREATING');
    assert.equal(made!.endpoints, undefined);
    assert.deepEqual(made!.createdAt, new Date('2026-11-24T12:00:00Z'));
    fixture.pass(1_000);
    const { cluster, $metadata } = await send(new GetClusterCommand(mine));
    assert.equal(cluster!.status, 'ACTIVE');
    const rest = cluster!.endpoints!.find(({ type }) => type === 'SLURMRESTD');
    assert.deepEqual(rest, { type: 'SLURMRESTD', privateIpAddress: '10.3.0.10', port: '6820' });
    assert.match(cluster!.slurmConfiguration!.jwtAuth!.jwtKey!.secretArn, /^arn:aws:secretsmanager:/);
    assert.equal($metadata.httpStatusCode, 200);
    assert.equal($metadata.attempts, 1);
    assert.ok($metadata.requestId);
  });

  it('a lost reply to a create: sent again with the same token, one cluster', async () => {
    fixture.double.inject('CreateCluster', 'lostReply', 'lostReply');
    const { $metadata } = await send(new CreateClusterCommand(clusterWish));
    assert.equal($metadata.attempts, 3);
    assert.equal(fixture.double.account.resources().length, 1);
    const tokens = new Set(
      codes('CreateCluster').map(({ text }) => (JSON.parse(text) as { clientToken: string }).clientToken),
    );
    assert.equal(tokens.size, 1);
  });

  it('killed between create and its reply: the next process, with the same workflow, finds its cluster', async () => {
    const token = clientTokenOf({
      workflowId: 'cluster/simulations',
      operation: 'CreateCluster',
      resource: 'simulations',
      revision: 1,
    });
    fixture.double.inject('CreateCluster', 'lostReply');
    const dying = new PCSClient({ region, credentials, endpoint: fixture.double.url, maxAttempts: 1 });
    await assert.rejects(dying.send(new CreateClusterCommand({ ...clusterWish, clientToken: token })), (error) => {
      assert.equal(kindOfAwsError(error), 'unavailable');
      return true;
    });
    dying.destroy();
    fixture.pass(1_000);
    const { cluster } = await createWith('simulations', token);
    assert.equal(cluster!.id, fixture.double.account.resources()[0]!.id);
    assert.equal(fixture.double.account.resources().length, 1);
  });

  it('only one cluster may be CREATING: a quota, until the first is there', async () => {
    await createWith('first', 'token-of-first');
    await assert.rejects(createWith('second', 'token-of-second'), (error: ServiceQuotaExceededException) => {
      assert.ok(error instanceof ServiceQuotaExceededException);
      assert.equal(error.serviceCode, 'pcs');
      assert.equal(error.$metadata.httpStatusCode, 402);
      return true;
    });
    fixture.pass(1_000);
    const { cluster } = await createWith('second', 'token-of-second');
    assert.equal(cluster!.status, 'CREATING');
  });

  it('conflicts and absences are told apart, and never asked again', async () => {
    await send(new CreateClusterCommand(clusterWish));
    await assert.rejects(createWith('simulations', 'another-token'), ConflictException);
    await assert.rejects(send(new DeleteClusterCommand(mine)), ConflictException);
    await assert.rejects(send(new CreateComputeNodeGroupCommand(groupWish)), (error: ConflictException) => {
      assert.equal(error.resourceType, 'Cluster');
      return true;
    });
    await assert.rejects(
      send(new GetClusterCommand({ clusterIdentifier: 'nobody' })),
      (error: ResourceNotFoundException) => {
        assert.ok(error instanceof ResourceNotFoundException);
        assert.equal(error.resourceId, 'nobody');
        assert.equal(kindOfAwsError(error), 'notFound');
        return true;
      },
    );
    assert.equal(fixture.double.calls.length, 5);
  });

  it('a node group goes to zero and comes back', async () => {
    await send(new CreateClusterCommand(clusterWish));
    fixture.pass(1_000);
    const { computeNodeGroup: made } = await send(new CreateComputeNodeGroupCommand(groupWish));
    const group = { ...mine, computeNodeGroupIdentifier: made!.id };
    const scale = (minInstanceCount: number, maxInstanceCount: number) =>
      send(
        new UpdateComputeNodeGroupCommand({ ...group, scalingConfiguration: { minInstanceCount, maxInstanceCount } }),
      );
    await assert.rejects(scale(0, 0), ConflictException, 'not while it is made');
    for (const [least, most] of [
      [0, 0],
      [2, 32],
    ] as const) {
      fixture.pass(1_000);
      const { computeNodeGroup } = await scale(least, most);
      assert.equal(computeNodeGroup!.status, 'UPDATING');
      fixture.pass(1_000);
      const { computeNodeGroup: now } = await send(new GetComputeNodeGroupCommand(group));
      assert.deepEqual(
        [now!.status, now!.scalingConfiguration],
        ['ACTIVE', { minInstanceCount: least, maxInstanceCount: most }],
      );
    }
    await assert.rejects(scale(0, 33), ServiceQuotaExceededException, 'a SMALL cluster has 32 nodes');
  });

  it('a creation that fails says why', async () => {
    const why = { code: 'SUBNET_NOT_FOUND', message: 'The subnet does not exist.' };
    fixture.double.account.failNextChange(why);
    await send(new CreateClusterCommand(clusterWish));
    fixture.pass(1_000);
    const { cluster } = await send(new GetClusterCommand(mine));
    assert.equal(cluster!.status, 'CREATE_FAILED');
    assert.deepEqual(cluster!.errorInfo, [why]);
    await send(new DeleteClusterCommand(mine));
    fixture.pass(1_000);
    await assert.rejects(send(new GetClusterCommand(mine)), ResourceNotFoundException);
  });

  it('throttles, 5xx and broken connections are waited out, each signed anew', async () => {
    fixture.double.inject('ListClusters', 'throttle', 'unavailable');
    assert.deepEqual((await send(new ListClustersCommand({}))).clusters, []);
    fixture.double.inject('ListClusters', 'reset', 'internal');
    assert.equal((await send(new ListClustersCommand({}))).$metadata.attempts, 3);
    const attempts = codes('ListClusters').map(({ headers }) => headers['amz-sdk-request']);
    assert.deepEqual(attempts.slice(0, 3), ['attempt=1; max=3', 'attempt=2; max=3', 'attempt=3; max=3']);
    fixture.double.inject('ListClusters', 'throttle', 'throttle', 'throttle');
    await assert.rejects(send(new ListClustersCommand({})), ThrottlingException);
  });

  it('an answer that is none of PCS is an error, not an empty list', async () => {
    fixture.double.inject('ListClusters', 'garbage');
    await assert.rejects(send(new ListClustersCommand({})), { name: 'UnreadableAnswer', message: /no JSON object/ });
  });

  it('an abort ends the wait between attempts', async () => {
    fixture.double.inject('ListClusters', 'internal');
    const leave = new AbortController();
    const client = new PCSClient({
      region,
      endpoint: fixture.double.url,
      maxAttempts: 2,
      credentials: async () => {
        if (fixture.double.calls.length === 1) leave.abort();
        return credentials;
      },
    });
    await assert.rejects(client.send(new ListClustersCommand({}), { abortSignal: leave.signal }), {
      name: 'AbortError',
    });
    assert.equal(fixture.double.calls.length, 1);
    client.destroy();
  });

  it('lists are read page by page, by the token of the page before', async () => {
    for (const name of ['one', 'two', 'three']) {
      await createWith(name, `token-of-${name}`);
      fixture.pass(1_000);
    }
    const seen: string[] = [];
    let nextToken: string | undefined;
    do {
      const page = await send(new ListClustersCommand({ maxResults: 2, nextToken }));
      seen.push(...page.clusters.map(({ name }) => name));
      nextToken = page.nextToken;
    } while (nextToken !== undefined);
    assert.deepEqual(seen, ['one', 'two', 'three']);
    assert.equal(codes('ListClusters').length, 2);
  });

  it('input that AWS would refuse is refused here, by name, and nothing is sent', async () => {
    const { networking: _, ...without } = clusterWish;
    const wrong: [Operation, object, RegExp][] = [
      ['CreateCluster', without, /networking/],
      ['CreateCluster', { ...clusterWish, clusterName: 'pcs_mine' }, /clusterName/],
      ['CreateCluster', { ...clusterWish, clusterName: 'a b' }, /clusterName/],
      ['CreateCluster', { ...clusterWish, clusterName: 'line\n' }, /clusterName/],
      ['CreateCluster', { ...clusterWish, clusterName: `a${'b'.repeat(40)}` }, /clusterName/],
      ['CreateCluster', { ...clusterWish, clientToken: 'short' }, /clientToken/],
      ['CreateCluster', { ...clusterWish, tags: {} }, /tags/],
      ['CreateCluster', { ...clusterWish, sise: 'SMALL' }, /sise/],
      [
        'CreateCluster',
        { ...clusterWish, slurmConfiguration: { accounting: { mode: 'STANDARD', defaultPurgeTimeInDays: 0 } } },
        /defaultPurgeTimeInDays/,
      ],
      ['GetCluster', { clusterIdentifier: '../x' }, /clusterIdentifier/],
      ['ListClusters', { maxResults: 101 }, /maxResults/],
      [
        'CreateComputeNodeGroup',
        { ...groupWish, scalingConfiguration: { minInstanceCount: 2, maxInstanceCount: 1 } },
        /minInstanceCount/,
      ],
      ['CreateComputeNodeGroup', { ...groupWish, customLaunchTemplate: undefined }, /customLaunchTemplate/],
      ['CreateComputeNodeGroup', { ...groupWish, launchTemplateMode: 'MANAGED' }, /amiId/],
      [
        'UpdateComputeNodeGroup',
        { ...mine, computeNodeGroupIdentifier: 'nodes', instanceConfigs: [] },
        /instanceConfigs/,
      ],
      ['TagResource', { resourceArn: 'arn:aws:s3:::bucket', tags: { a: 'b' } }, /resourceArn/],
    ];
    for (const [operation, input, named] of wrong) {
      const type = 'InvalidInput';
      assert.throws(
        () => checkInput(operation, input),
        { name: 'InvalidPcsInput', type, message: named },
        String(named),
      );
    }
    await assert.rejects(send(new CreateClusterCommand(without as never)), { name: 'InvalidPcsInput' });
    assert.equal(fixture.double.calls.length, 0);
  });

  it('credentials for another region are refused by AWS’s own words', async () => {
    const elsewhere = new PCSClient({ region: 'us-east-1', credentials, endpoint: fixture.double.url });
    await assert.rejects(elsewhere.send(new ListClustersCommand({})), {
      name: 'InvalidSignatureException',
      $fault: 'client',
    });
    assert.equal(fixture.double.calls.length, 1);
    elsewhere.destroy();
  });
});

describe('PCS answers, pauses, tokens, addresses', () => {
  const answer = (statusCode: number, text: string, headers: Record<string, string> = {}) =>
    readAnswer('GetCluster', { statusCode, headers, text });

  it('errors of every spelling that has been seen', () => {
    assert.throws(
      () =>
        answer(429, '{"__type":"com.amazonaws.pcs#ThrottlingException:http://x","Message":"slow"}', {
          'retry-after': '7',
        }),
      (error: ThrottlingException) => {
        assert.deepEqual([error.name, error.message, error.retryAfterSeconds], ['ThrottlingException', 'slow', 7]);
        return error instanceof ThrottlingException;
      },
    );
    assert.throws(() => answer(429, '{"__type":"ThrottlingException","retryAfterSeconds":3}', { 'retry-after': '7' }), {
      retryAfterSeconds: 3,
    });
    const fieldList = [{ name: 'size', message: 'none' }];
    assert.throws(
      () => answer(400, JSON.stringify({ __type: 'ValidationException', message: 'no', reason: 'other', fieldList })),
      (error: ValidationException) => {
        assert.deepEqual([error.reason, error.fieldList], ['other', fieldList]);
        return error instanceof ValidationException;
      },
    );
    assert.throws(() => answer(503, '<html>'), { name: 'Http503', $fault: 'server' });
    assert.throws(() => answer(429, '<html>', { 'retry-after': '2' }), {
      name: 'ThrottlingException',
      retryAfterSeconds: 2,
    });
    assert.throws(() => answer(400, '{"__type":"constructor","message":"m"}'), { name: 'constructor', message: 'm' });
    assert.throws(() => answer(200, '{"cluster":{"name":"half"}}'), { name: 'UnreadableAnswer', message: /status/ });
  });

  it('a status and members that AWS adds later are kept', () => {
    const cluster = {
      ...{ name: 'a', id: 'pcs_1', arn: 'arn', status: 'HIBERNATING', createdAt: '2026-01-01T00:00:00Z' },
      ...{ modifiedAt: '2026-01-01T00:00:00Z', scheduler: { type: 'SLURM', version: '27.05' }, size: 'HUGE' },
      ...{ networking: {}, later: { more: 1 } },
    };
    const read = answer(200, JSON.stringify({ cluster })).cluster!;
    assert.deepEqual([read.status, read.size, read.later], ['HIBERNATING', 'HUGE', { more: 1 }]);
  });

  it('pauses double, are random, obey AWS, and end', () => {
    const throttled = (retryAfterSeconds?: number) => new ThrottlingException('slow', {}, { retryAfterSeconds });
    const pause = (error: unknown, attempt: number, random = 1) =>
      pauseBeforeRetry(error, attempt, { maxAttempts: 9, random });
    assert.deepEqual(
      [1, 2, 3, 8].map((attempt) => pause(throttled(), attempt)),
      [500, 1_000, 2_000, 20_000],
    );
    assert.equal(pause(throttled(), 3, 0.25), 500);
    assert.equal(pause(throttled(3), 1), 3_000);
    assert.equal(pause(throttled(60), 1), undefined, 'longer than a worker should be held: the caller waits');
    assert.equal(pause(Object.assign(new Error('x'), { code: 'ECONNRESET' }), 1), 100);
    assert.equal(pause(throttled(), 9), undefined);
    assert.equal(pause(new ConflictException('no', {}, {}), 1), undefined);
  });

  it('a token is one of its effect alone', () => {
    const effect = { workflowId: 'cluster/a', operation: 'CreateQueue', resource: 'b', revision: 1 };
    const token = clientTokenOf(effect);
    assert.match(token, /^goto3-[0-9a-f]{64}$/);
    assert.equal(clientTokenOf({ ...effect }), token);
    const others = [
      { ...effect, workflowId: 'cluster/a/CreateQueue' },
      { ...effect, operation: 'UpdateQueue' },
      { ...effect, resource: 'c' },
      { ...effect, revision: 2 },
    ];
    assert.equal(new Set([token, ...others.map(clientTokenOf)]).size, 5);
  });

  it('addresses: the environment is heard as the SDKs hear it, and nothing but a region makes a host', () => {
    assert.deepEqual(endpointFromEnvironment({ AWS_ENDPOINT_URL_PCS: 'http://a', AWS_ENDPOINT_URL: 'http://b' }), {
      endpoint: 'http://a',
    });
    assert.deepEqual(endpointFromEnvironment({ AWS_ENDPOINT_URL: 'http://b', AWS_USE_FIPS_ENDPOINT: 'True' }), {
      endpoint: 'http://b',
      useFipsEndpoint: true,
    });
    assert.deepEqual(
      endpointFromEnvironment({ AWS_ENDPOINT_URL_PCS: 'http://a', AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'true' }),
      {},
    );
    assert.equal(
      pcsEndpoint('us-east-2', { useFipsEndpoint: true, useDualstackEndpoint: true }).host,
      'pcs-fips.us-east-2.api.aws',
    );
    for (const region of ['', 'x.evil.org/', 'eu-central-1.evil.org', 'a@b', '-a', 'EU-central-1'])
      assert.throws(() => pcsEndpoint(region), { name: 'InvalidPcsEndpoint', message: /region/ }, region);
    for (const endpoint of ['', 'pcs', 'ftp://a', 'http://user:secret@a', 'http://a?b'])
      assert.throws(
        () => pcsEndpoint('us-east-1', { endpoint }),
        (error: Error) => !/secret/.test(error.message) && error.name === 'InvalidPcsEndpoint',
        endpoint,
      );
  });

  it('AWS’s package is taken where it is, ours where it is absent; a broken one is an error', async () => {
    const given = {};
    assert.equal(await loadPcs(async () => given), given);
    const absent = (name: string) =>
      Object.assign(new Error(`Cannot find package '${name}' imported from here`), { code: 'ERR_MODULE_NOT_FOUND' });
    const own = await loadPcs((name) => Promise.reject(absent(name)));
    assert.deepEqual(
      Object.keys(own).filter((name) => name.endsWith('Command')),
      Object.keys(inputs)
        .map((operation) => `${operation}Command`)
        .toSorted(),
    );
    assert.throws(() => new own.PCSClient({ region: 'a b', credentials }), { name: 'InvalidPcsEndpoint' });
    await assert.rejects(
      loadPcs(() => Promise.reject(absent('@smithy/core'))),
      /@smithy\/core/,
    );
    const { CreateClusterCommand: Create } = await loadPcs();
    assert.equal(new Create(clusterWish).input.clusterName, 'simulations');
  });
});
