import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { JobRunner, JobSpec } from '../../../src/contracts/job.ts';
import { defaultRole } from '../../doubles/sagemaker/server.ts';
import { eventually } from '../../jobs/eventually.ts';
import { argvOf, type ProgramName, writePrograms } from '../../jobs/programs.ts';
import { region } from '../../support/versitygw/server.ts';
import { type SageMakerFixture, setUpSageMaker } from './fixture.ts';

/** Amazon's own Python clients say whether requests and answers are those of AWS. */
describe('SageMaker runner and double, judged by botocore, boto3 and moto', () => {
  let fixture: SageMakerFixture;
  let file: string;

  before(async function () {
    if (!process.env.GOTO3_AWS_PYTHON) {
      console.log('skipped: no boto3; `npm run test:aws` prepares it');
      this.skip();
    }
    fixture = await setUpSageMaker({ quotas: { 'ml.c5.xlarge': 0 } });
    await writePrograms(fixture.programsFolder);
    await everyKindOfCall();
    file = join(fixture.root, 'calls.json');
    await writeFile(file, JSON.stringify(fixture.double.calls));
  });
  after(async () => {
    await fixture?.stop();
  });

  const judge = async <T>(...argv: string[]): Promise<T> => {
    const program = fileURLToPath(new URL('judge.py', import.meta.url));
    const { stdout } = await promisify(execFile)(process.env.GOTO3_AWS_PYTHON!, [program, ...argv], {
      maxBuffer: 2 ** 26,
    });
    return JSON.parse(stdout) as T;
  };

  /** All that a target can say, every operation, and refusals of each kind. */
  async function everyKindOfCall(): Promise<void> {
    const resources = { gpus: 0, cpus: 1, memoryBytes: 2 ** 30, timeLimitMs: 60_000 };
    const rows = Buffer.from('{"id":"1"}\n');
    const files = [{ path: 'a/b.jsonl', digest: await fixture.put(rows), sizeBytes: rows.length }];
    const spec = (program: ProgramName, more: Partial<JobSpec> = {}): JobSpec => ({
      ...{ name: `judged/${randomUUID()}/1`, program: argvOf(program), workingDirectory: fixture.programsFolder },
      ...{ environment: { TOKEN: { secret: 'token' } }, hyperparameters: { 'learning-rate': '1e-3' } },
      ...{ channels: { train: files, empty: [] }, checkpoint: files, resources, progressTimeoutMs: 60_000, nice: 0 },
      ...more,
    });
    const run = async (runner: JobRunner, job: JobSpec): Promise<void> => {
      const ref = await runner.submit(job);
      await eventually('its end', async () => (await runner.describe(ref)).endedAt !== undefined, 30_000);
      await runner.logs(ref);
    };
    const instances = ['ml.c5.xlarge', 'ml.m5.xlarge'].map((type) => ({ type, cpus: 4, memory: 2 ** 33, gpus: 0 }));
    const rich = await fixture.runnerWith({
      ...{ instances, code: 'upload', networkIsolation: true, tags: { team: 'ml ops' } },
      ...{ spot: { waitMs: 60_000 }, experiment: { name: 'goto3', trial: 'spam-filter' } },
      vpc: { subnets: ['subnet-0123456789abcdef0'], securityGroups: ['sg-0123456789abcdef0'] },
      kms: { volume: 'alias/volume' },
    });
    await run(rich, spec('count.sh'));
    const warm = await fixture.runnerWith({ keepAliveMs: 600_000 });
    await run(warm, spec('fail.sh'));
    fixture.double.loseReplyOf('CreateTrainingJob');
    const ref = await warm.submit(spec('hang.sh'));
    await eventually('it runs', async () => (await warm.describe(ref)).state === 'running');
    await warm.cancel(ref);
    await eventually('it is cancelled', async () => (await warm.describe(ref)).state === 'cancelled', 30_000);
    await warm.withdraw!(ref.name);
    const nobody = await fixture.runnerWith({ role: 'arn:aws:iam::123456789012:role/nobody' });
    await assert.rejects(nobody.submit(spec('count.sh')));
    await warm.withdraw!('judged/never/1');
  }

  it('botocore’s model takes every request, and botocore understands every answer', async () => {
    const { problems, operations, errors } = await judge<{
      problems: string[];
      operations: Record<string, number>;
      errors: Record<string, number>;
    }>('recorded', file);
    assert.deepEqual(problems, []);
    const asked = ['CreateTrainingJob', 'DescribeLogStreams', 'DescribeTrainingJob', 'GetLogEvents', 'StopTrainingJob'];
    assert.deepEqual(Object.keys(operations).toSorted(), asked);
    for (const code of ['ResourceInUse', 'ResourceLimitExceeded', 'ValidationException'])
      assert.ok(errors[code]! > 0, code);
  });

  it('it finds what is wrong: a judge that cannot is none', async () => {
    const create = fixture.double.calls.find((call) => call.operation === 'CreateTrainingJob' && call.status === 200);
    const body = { ...(create!.body as object), TrainingJobName: 'a_b', Unknown: 1, EnableNetworkIsolation: 'yes' };
    const wrong = join(fixture.root, 'wrong.json');
    await writeFile(wrong, JSON.stringify([{ ...create!, body, answer: { TrainingJobArn: 'arn', More: 1 } }]));
    const { problems } = await judge<{ problems: string[] }>('recorded', wrong);
    for (const found of [
      /a_b.*does not match/,
      /Unknown/,
      /EnableNetworkIsolation/,
      /TrainingJobArn.*does not match/,
      /More/,
    ])
      assert.ok(
        problems.some((problem) => found.test(problem)),
        `${found}: ${problems.join('\n')}`,
      );
  });

  it('moto keeps our jobs as we asked for them', async () => {
    const answers = await judge<{ arn: boolean; differs: string[]; role: boolean; tags: boolean }[]>('moto', file);
    assert.equal(answers.length, 3);
    for (const answer of answers) assert.deepEqual(answer, { arn: true, differs: [], role: true, tags: true });
  });

  it('boto3 runs, watches, stops and tags jobs on the double', async () => {
    const output = `s3://goto3-test/judged`;
    const seen = await judge<Record<string, unknown>>('drive', fixture.double.url, region, defaultRole, output);
    assert.deepEqual(seen, {
      arn: `arn:aws:sagemaker:${region}:123456789012:training-job/judged-by-boto3`,
      again: 'ResourceInUse',
      status: ['Completed', 'Completed'],
      stages: ['Starting', 'Downloading', 'Training', 'Uploading', 'Completed'],
      times: true,
      billable: 1,
      tags: { who: 'judge', more: 'yes' },
      lines: ['hello from judged-by-boto3'],
      atEnd: true,
      stopped: ['Stopped', 'Stopped'],
      stopAgain: 'ValidationException',
      unknown: 'ValidationException',
      badName: 'ValidationException',
      badRole: 'ValidationException',
    });
  });
});
