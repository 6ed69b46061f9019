import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { z } from 'zod';
import { PCSClient } from '../../../src/aws/pcs/client.ts';
import type { PcsCommand } from '../../../src/aws/pcs/command.ts';
import * as commands from '../../../src/aws/pcs/commands.ts';
import { pcsEndpoint } from '../../../src/aws/pcs/endpoint.ts';
import { checkInput, type Input, inputs, type Operation } from '../../../src/aws/pcs/inputs.ts';
import { signedRequest } from '../../../src/aws/pcs/wire.ts';
import { type PcsDouble, startPcsDouble } from '../../doubles/pcs/server.ts';
import { clusterWish, credentials, groupWish, region, richInputs, setUpPcs } from './fixture.ts';

const operations = Object.keys(inputs) as Operation[];
type AnyCommand = new (input: object) => PcsCommand<Operation>;
const commandOf = (operation: Operation, input: object) =>
  new (commands as unknown as Record<string, AnyCommand>)[`${operation}Command`]!(input);

/** Amazon's own Python clients say whether requests and answers are those of AWS. */
describe('PCS client and double, judged by botocore and boto3', () => {
  let folder: string;
  let double: PcsDouble | undefined;

  before(async function () {
    if (!process.env.GOTO3_AWS_PYTHON) {
      console.log('skipped: no boto3; `npm run test:aws` prepares it');
      this.skip();
    }
    folder = await mkdtemp(join(tmpdir(), 'goto3-pcs-'));
  });
  after(async () => {
    await double?.stop();
    if (folder) await rm(folder, { recursive: true });
  });

  const judge = async <T>(verb: string, given: unknown, ...more: string[]): Promise<T> => {
    const file = join(folder, `${verb}.json`);
    await writeFile(file, JSON.stringify(given));
    return await python<T>(verb, file, ...more);
  };
  const python = async <T>(...argv: string[]): Promise<T> => {
    const program = fileURLToPath(new URL('judge.py', import.meta.url));
    const { stdout } = await promisify(execFile)(process.env.GOTO3_AWS_PYTHON!, [program, ...argv], {
      maxBuffer: 2 ** 26,
    });
    return JSON.parse(stdout) as T;
  };

  it('our inputs have the members, types, lengths, patterns and enums of the model, and no others', async () => {
    const schemas = Object.fromEntries(operations.map((name) => [name, z.toJSONSchema(inputs[name], { io: 'input' })]));
    const { found, without } = await judge<{ found: string[]; without: string[] }>('schemas', schemas);
    assert.deepEqual(found, []);
    assert.deepEqual(without, ['RegisterComputeNodeGroupInstance'], 'what AWS has and we have not');
  });

  it('each request has botocore’s bytes, but for blanks and escapes, and our signer signs botocore’s bytes as botocore does', async () => {
    const given = operations.map((operation) => ({
      operation,
      input: checkInput(operation, richInputs[operation]),
    }));
    const theirs = await judge<{ url: string; headers: Record<string, string>; body: string }[]>(
      'requests',
      given,
      region,
    );
    assert.equal(theirs.length, operations.length);
    for (const [at, { url, headers, body }] of theirs.entries()) {
      const operation = operations[at]!;
      assert.equal(JSON.stringify(given[at]!.input), JSON.stringify(JSON.parse(body)), operation);
      const signed = await signedRequest(
        { operation, body },
        { endpoint: pcsEndpoint(region), region, credentials, at: new Date('2026-11-24T12:00:00Z') },
      );
      assert.equal(`https://${signed.headers.host}${signed.path}`, url);
      for (const name of ['authorization', 'content-type', 'x-amz-target', 'x-amz-date'])
        assert.equal(signed.headers[name], headers[name], `${operation}: ${name}`);
    }
  });

  it('what was really sent: the model takes every request, botocore signs it alike, and understands every answer', async () => {
    const { double: recording, client, pass, stop } = await setUpPcs();
    const temporary = new PCSClient({
      region,
      credentials: async () => ({ ...credentials, sessionToken: 'a/session+token==' }),
      endpoint: recording.url,
    });
    try {
      const send = (operation: Operation, input: object) => client.send(commandOf(operation, input));
      await send('CreateCluster', clusterWish);
      await assert.rejects(send('CreateCluster', { ...clusterWish, clusterName: 'second' }));
      await assert.rejects(send('CreateQueue', { clusterIdentifier: 'simulations', queueName: 'early' }));
      pass(1_000);
      await send('CreateComputeNodeGroup', groupWish);
      pass(1_000);
      for (const operation of operations) {
        const answered = await send(operation, richInputs[operation]).then(
          () => true,
          () => false,
        );
        assert.ok(answered || recording.calls.at(-1)!.status >= 400, operation);
        pass(1_000);
      }
      await temporary.send(new commands.ListClustersCommand({}));
      recording.inject('GetCluster', 'throttle', 'internal', 'throttle');
      await assert.rejects(send('GetCluster', { clusterIdentifier: 'simulations' }), { name: 'ThrottlingException' });
      const { calls } = recording;
      const verdict = await judge<{
        problems: string[];
        operations: Record<string, number>;
        errors: Record<string, number>;
        signatures: number;
      }>('recorded', { region, ...credentials, calls });
      assert.deepEqual(verdict.problems, []);
      assert.deepEqual(Object.keys(verdict.operations).toSorted(), operations.toSorted());
      assert.equal(verdict.signatures, calls.length);
      for (const code of [
        ...['ConflictException', 'InternalServerException', 'ResourceNotFoundException'],
        ...['ServiceQuotaExceededException', 'ThrottlingException'],
      ])
        assert.ok(verdict.errors[code]! > 0, code);
    } finally {
      temporary.destroy();
      await stop();
    }
  });

  it('it finds what is wrong: a judge that cannot is none', async () => {
    const { double: recording, client, stop } = await setUpPcs();
    await client.send(new commands.ListClustersCommand({}));
    const [call] = recording.calls;
    await stop();
    const wrong = { ...call!, text: '{"maxResults": 101, "more": 1}', answer: { clusters: [{ name: 'x' }], more: 1 } };
    const { problems } = await judge<{ problems: string[] }>('recorded', { region, ...credentials, calls: [wrong] });
    for (const found of [/101/, /Unknown parameter/, /answer.more: unknown/, /arn is required/, /signed .* botocore/])
      assert.ok(
        problems.some((problem) => found.test(problem)),
        `${found}: ${problems.join('\n')}`,
      );
  });

  it('addresses are those of the endpoint rule set: partitions, FIPS, dual stack, own endpoints', async () => {
    const regions = [
      ...['us-east-1', 'eu-central-1', 'il-central-1', 'mx-central-1', 'cn-north-1', 'us-gov-west-1', 'us-iso-east-1'],
      ...['us-isob-east-1', 'eu-isoe-west-1', 'us-isof-south-1', 'eusc-de-east-1', 'mars-north-7'],
    ];
    const flags = [false, true];
    const cases = [undefined, 'http://127.0.0.1:4566'].flatMap((endpoint) =>
      regions.flatMap((each) =>
        flags.flatMap((fips) => flags.map((dualStack) => ({ region: each, fips, dualStack, endpoint }))),
      ),
    );
    const theirs = await judge<(string | null)[]>('endpoints', cases);
    const ours = cases.map(({ region: of, fips, dualStack, endpoint }) => {
      try {
        return pcsEndpoint(of, {
          useFipsEndpoint: fips,
          useDualstackEndpoint: dualStack,
          ...(endpoint && { endpoint }),
        }).href.replace(/\/$/, '');
      } catch {
        return null;
      }
    });
    assert.deepEqual(ours, theirs);
    assert.equal(ours.filter((each) => each === null).length, regions.length * 3);
  });

  it('real boto3 makes, scales and deletes a cluster on the double', async () => {
    double = await startPcsDouble({ region, changeMs: 100 });
    const seen = await python<Record<string, unknown>>('drive', double.url, region);
    assert.deepEqual(seen, {
      once: true,
      created: ['CREATING', true],
      endpoints: [
        ['SLURMCTLD', '6817'],
        ['SLURMDBD', '6819'],
        ['SLURMRESTD', '6820'],
      ],
      jwt: '1',
      scaled: { minInstanceCount: 2, maxInstanceCount: 8 },
      queue: true,
      idle: 60,
      tags: { more: 'yes' },
      lists: [['judged'], ['nodes'], ['main']],
      codes: [
        ...['ServiceQuotaExceededException', 'ConflictException', 'ServiceQuotaExceededException'],
        ...['ConflictException', 'ConflictException', 'ResourceNotFoundException'],
      ],
      gone: 'gone',
    });
    const requests = double.calls.map(({ operation, text }) => [operation, text] as const);
    for (const [operation, text] of requests) checkInput(operation as Operation, JSON.parse(text) as Input<Operation>);
  });
});
