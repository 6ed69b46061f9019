import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { RecordedCall } from '../../doubles/sagemaker/server.ts';
import { region } from '../../support/versitygw/server.ts';
import { published, putCandidate, type RegistryFixture, setUpRegistry } from './fixture.ts';

/** Amazon's own Python clients say whether requests and answers are those of AWS. */
describe('SageMaker registry and double, judged by botocore, boto3 and moto', () => {
  let fixture: RegistryFixture;
  let folder: string;
  let file: string;
  /** Ours alone: what boto3 asks comes later. */
  let calls: RecordedCall[];

  before(async function () {
    if (!process.env.GOTO3_AWS_PYTHON) {
      console.log('skipped: no boto3; `npm run test:aws` prepares it');
      this.skip();
    }
    fixture = await setUpRegistry();
    folder = await mkdtemp(join(tmpdir(), 'goto3-judge-'));
    const registry = fixture.open();
    const registrable = await putCandidate(fixture.store, 'judged.by_botocore');
    const arn = await published(registry, registrable);
    await registry.setApproval(arn, 'Approved', { by: 'ann (on call) <ann@example.com>', reason: 'fine', version: 1 });
    await registry.setApproval(arn, 'Rejected', { by: 'ann', reason: 'x'.repeat(2_000) });
    for (const endpoint of ['mail', 'mail_2.0']) await registry.trace(registrable, arn, endpoint);
    calls = [...fixture.double.calls];
    file = join(folder, 'calls.json');
    await writeFile(file, JSON.stringify(calls));
  });
  after(async () => {
    await fixture?.stop();
    if (folder) await rm(folder, { recursive: true, force: true });
  });

  const judge = async <T>(...argv: string[]): Promise<T> => {
    const program = fileURLToPath(new URL('../sagemaker/judge.py', import.meta.url));
    const { stdout } = await promisify(execFile)(process.env.GOTO3_AWS_PYTHON!, [program, ...argv], {
      maxBuffer: 2 ** 26,
    });
    return JSON.parse(stdout) as T;
  };

  it('botocore’s model takes every request, and botocore understands every answer', async () => {
    const { problems, operations } = await judge<{ problems: string[]; operations: Record<string, number> }>(
      'recorded',
      file,
    );
    assert.deepEqual(problems, []);
    assert.deepEqual(Object.keys(operations).toSorted(), [
      ...['AddAssociation', 'CreateAction', 'CreateArtifact', 'CreateContext', 'CreateModelPackage'],
      ...['CreateModelPackageGroup', 'DescribeAction', 'DescribeContext', 'DescribeModelPackage'],
      ...['DescribeModelPackageGroup', 'ListArtifacts', 'ListAssociations', 'ListModelPackages', 'ListTags'],
      'UpdateModelPackage',
    ]);
  });

  it('it finds what is wrong: a judge that cannot is none', async () => {
    const create = calls.find(({ operation, status }) => operation === 'CreateModelPackage' && status === 200)!;
    const body = {
      ...(create.body as object),
      ClientToken: 'x'.repeat(37),
      CustomerMetadataProperties: { 'goto3:by': 'ann (on call)' },
      ModelApprovalStatus: 'Perhaps',
      ModelPackageDescription: 'a\u0000b',
    };
    const wrong = join(folder, 'wrong.json');
    await writeFile(wrong, JSON.stringify([{ ...create, body, answer: { ModelPackageArn: 'arn' } }]));
    const { problems } = await judge<{ problems: string[] }>('recorded', wrong);
    for (const found of [/37 is more than 36/, /ann \(on call\).*not match/, /Perhaps/, /ModelPackageArn.*not match/])
      assert.ok(
        problems.some((problem) => found.test(problem)),
        `${found}: ${problems.join('\n')}`,
      );
  });

  it('moto keeps our packages and their approval as we asked for them', async () => {
    assert.deepEqual(await judge('moto-registry', file), [
      { arn: true, differs: [], listed: true },
      ['Approved', 'ann (on call) <ann@example.com>: fine'],
      ['Rejected', `ann: ${'x'.repeat(1_019)}`],
    ]);
  });

  it('boto3 makes every operation on the double', async () => {
    const account = `arn:aws:sagemaker:${region}:123456789012`;
    assert.deepEqual(await judge('registry', fixture.double.url, region), {
      arns: [`${account}:model-package-group/judged`, `${account}:model-package/judged/1`],
      groupStatus: 'Completed',
      tags: [{ Key: 'who', Value: 'judge' }],
      early: 'ConflictException',
      package: ['Completed', 'Approved', 'fine'],
      metadata: { 'goto3:model': 'sha256:1' },
      changedBy: 'arn:aws:iam::123456789012:user/AKIAJUDGE',
      listed: [1, 2],
      again: true,
      found: true,
      action: true,
      context: true,
      edges: [[true, true, 'ContributedTo']],
      errors: {
        ...{ token: 'ConflictException', group: 'ValidationException', noGroup: 'ValidationException' },
        ...{ noPackage: 'ValidationException', name: 'ValidationException', noAction: 'ResourceNotFound' },
        ...{ noContext: 'ResourceNotFound', edge: 'ValidationException', noEntity: 'ResourceNotFound' },
        deleted: 'ValidationException',
      },
    });
  });
});
