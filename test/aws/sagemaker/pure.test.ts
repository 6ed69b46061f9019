import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { DescribeTrainingJobResponse } from '@aws-sdk/client-sagemaker';
import fc from 'fast-check';
import { kindOfAwsError } from '../../../src/aws/errors.ts';
import { type Clock, TokenBucket } from '../../../src/aws/token-bucket.ts';
import { SageMakerTarget } from '../../../src/contracts/sagemaker-target.ts';
import { judge } from '../../../src/jobs/sagemaker/judge.ts';
import { previousAttempt, trainingJobName } from '../../../src/jobs/sagemaker/names.ts';
import { openSecrets, sealSecrets } from '../../../src/jobs/sagemaker/sealed-secrets.ts';
import { unpackTarGz } from '../../../src/jobs/sagemaker/untar.ts';
import { parseWord, programLine, wordLine } from '../../../src/jobs/sagemaker/words.ts';
import { eventually } from '../../jobs/eventually.ts';

describe('SageMaker runner, its pure parts', () => {
  it('every job name gives a training job name that AWS takes, and no two the same', () => {
    const jobName = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._/-]{0,255}$/);
    fc.assert(
      fc.property(jobName, jobName, (a, b) => {
        const name = trainingJobName('s3://bucket/x', a);
        assert.match(name, /^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$/);
        assert.ok(name.length <= 63);
        assert.equal(name === trainingJobName('s3://bucket/x', b), a === b);
        assert.notEqual(name, trainingJobName('s3://bucket/y', a));
      }),
    );
    assert.match(trainingJobName('s3://b/x', 'spam-filter/3/train/1'), /^spam-filter-3-train-1-[0-9a-f]{24}$/);
    assert.equal(previousAttempt('spam-filter/3/train/12'), 'spam-filter/3/train/11');
    assert.equal(previousAttempt('spam-filter/3/train/1'), undefined);
  });

  it('a target names the field that AWS would not take', () => {
    const good = {
      region: 'eu-central-1',
      role: 'arn:aws:iam::123456789012:role/x',
      image: 'image',
      instances: [{ type: 'ml.m5.large', cpus: 2, memory: '8GiB' }],
    };
    assert.equal(SageMakerTarget.parse(good).instances[0]!.memory, 8 * 2 ** 30);
    const bad: [object, string][] = [
      [{ region: 'europe' }, 'region'],
      [{ role: 'training' }, 'role'],
      [{ instances: [{ type: 'm5.large', cpus: 2, memory: '8GiB' }] }, 'instances.0.type'],
      [{ instances: [{ type: 'ml.m5.large', cpus: 2, memory: '8' }] }, 'instances.0.memory'],
      [{ experiment: { name: 'a--' } }, 'experiment.name'],
      [{ spot: { waitMs: 1 }, keepAliveMs: 60_000 }, 'keepAliveMs'],
      [{ accessKey: 'AKIA' }, ''],
    ];
    for (const [change, field] of bad) {
      const { success, error } = SageMakerTarget.safeParse({ ...good, ...change });
      assert.ok(!success, JSON.stringify(change));
      assert.equal(error!.issues[0]!.path.join('.'), field);
    }
  });

  it('the bucket keeps its rate over any calls, slows down at throttles and comes back', async () => {
    let now = 0;
    const clock: Clock = {
      nowMs: () => now,
      sleep: async (ms) => {
        now += ms;
      },
    };
    const bucket = new TokenBucket(2, clock);
    for (let i = 0; i < 20; i++) await bucket.take();
    // Two at once, the others half a second apart.
    assert.ok(now >= 9_000 && now < 9_100, String(now));
    bucket.throttled();
    assert.equal(bucket.rate, 1);
    const before = now;
    await bucket.take();
    assert.ok(now - before >= 1_000);
    for (let i = 0; i < 10; i++) bucket.succeeded();
    assert.equal(bucket.rate, 2);
  });

  it('AWS’s words mean a state and a failure class', () => {
    const ended = { CreationTime: new Date(0), TrainingEndTime: new Date(1_000) };
    const rows: [Partial<DescribeTrainingJobResponse>, string, string?][] = [
      [{ TrainingJobStatus: 'InProgress', SecondaryStatus: 'Starting' }, 'pending'],
      [{ TrainingJobStatus: 'InProgress', SecondaryStatus: 'Pending' }, 'pending'],
      [{ TrainingJobStatus: 'InProgress', SecondaryStatus: 'Training' }, 'running'],
      [{ TrainingJobStatus: 'InProgress', SecondaryStatus: 'Uploading' }, 'running'],
      [{ TrainingJobStatus: 'InProgress', SecondaryStatus: 'Interrupted' }, 'pending'],
      [{ TrainingJobStatus: 'Stopping', SecondaryStatus: 'Stopping' }, 'running'],
      [{ TrainingJobStatus: 'Deleting' }, 'unknown'],
      [{ TrainingJobStatus: 'Completed', SecondaryStatus: 'Completed' }, 'succeeded'],
      [{ TrainingJobStatus: 'Stopped', SecondaryStatus: 'Stopped' }, 'cancelled'],
      [{ TrainingJobStatus: 'Stopped', SecondaryStatus: 'MaxRuntimeExceeded' }, 'failed', 'timeLimit'],
      [{ TrainingJobStatus: 'Stopped', SecondaryStatus: 'MaxWaitTimeExceeded' }, 'failed', 'capacity'],
      [{ TrainingJobStatus: 'Failed', FailureReason: 'CapacityError: none' }, 'failed', 'capacity'],
      [{ TrainingJobStatus: 'Failed', FailureReason: 'InternalServerError: x' }, 'failed', 'infrastructure'],
      [{ TrainingJobStatus: 'Failed', FailureReason: 'ClientError: no data' }, 'failed', 'userError'],
      [{ TrainingJobStatus: 'Failed', FailureReason: 'AlgorithmError: x, exit code: 1' }, 'failed', 'userError'],
    ];
    for (const [job, state, failureClass] of rows) {
      const status = judge({ ...ended, ...job } as DescribeTrainingJobResponse, undefined);
      assert.deepEqual([status.state, status.failureClass], [state, failureClass], JSON.stringify(job));
    }
    // The launcher knows more than "exit code 1"; the platform knows better that there was no machine.
    const exit = { state: 'failed', failureClass: 'outOfMemory', reason: 'too much', endedAt: '' } as const;
    const failed = { ...ended, TrainingJobStatus: 'Failed' } as DescribeTrainingJobResponse;
    assert.equal(judge({ ...failed, FailureReason: 'AlgorithmError: x' }, exit).failureClass, 'outOfMemory');
    assert.equal(judge({ ...failed, FailureReason: 'CapacityError: x' }, exit).failureClass, 'capacity');
  });

  it('errors are told apart by what has to follow', () => {
    const kind = (name: string, message = '', more = {}) =>
      kindOfAwsError(Object.assign(new Error(message), { name }, more));
    assert.equal(kind('ThrottlingException'), 'throttled');
    assert.equal(kind('ExpiredTokenException'), 'expired');
    assert.equal(kind('ResourceInUse'), 'inUse');
    assert.equal(kind('ResourceLimitExceeded'), 'quota');
    assert.equal(kind('ValidationException', 'Requested resource not found.'), 'notFound');
    assert.equal(kind('ValidationException', 'Could not assume role'), 'refused');
    assert.equal(kind('Error', '', { code: 'ECONNRESET' }), 'unavailable');
    assert.equal(kind('Odd', '', { $metadata: { httpStatusCode: 503 } }), 'unavailable');
    assert.equal(kind('Error', '', { code: 'ENOTFOUND' }), 'refused');
  });

  it('words of the launcher survive the log, and no line of a program is one', () => {
    const word = { kind: 'progress', progress: { fraction: 0.5, at: 'now', metrics: { loss: 1 } } } as const;
    assert.deepEqual(parseWord(wordLine(word)), word);
    fc.assert(fc.property(fc.string(), (line) => parseWord(programLine(line)) === undefined));
    assert.equal(parseWord(programLine(wordLine(word))), undefined);
  });

  it('secrets open with their own key alone', () => {
    const { bytes, opener, id } = sealSecrets({ TOKEN: 'żółć' });
    assert.deepEqual(openSecrets(opener, bytes), { TOKEN: 'żółć' });
    assert.ok(!Buffer.from(bytes).includes('TOKEN'));
    assert.throws(() => openSecrets(sealSecrets({}).opener, bytes));
    assert.throws(() =>
      openSecrets(
        opener.replace(
          id,
          id.replace(/^./, (c) => (c === '0' ? '1' : '0')),
        ),
        bytes,
      ),
    );
    assert.throws(() =>
      openSecrets(
        opener,
        bytes.map((byte, i) => (i === bytes.length - 1 ? byte ^ 1 : byte)),
      ),
    );
  });

  describe('archives', () => {
    let folder: string;
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'goto3-untar-'));
      await mkdir(join(folder, 'in'));
    });
    afterEach(async () => {
      await rm(folder, { recursive: true });
    });
    const tar = (...argv: string[]): Buffer => {
      const { stdout, status, stderr } = spawnSync('tar', ['-czf', '-', '-C', join(folder, 'in'), ...argv], {
        maxBuffer: 2 ** 26,
      });
      assert.equal(status, 0, stderr.toString());
      return stdout;
    };
    const unpack = (bytes: Buffer) => unpackTarGz(Readable.from([bytes]), join(folder, 'out'));

    for (const format of ['gnu', 'pax', 'ustar'])
      it(`of the system's tar, ${format}: the same files, long names and sizes across blocks`, async () => {
        const names = ['a', 'empty', `${'d'.repeat(90)}/${'f'.repeat(90)}`, 'x/ünï.txt'];
        const contents = [Buffer.alloc(1_000_001, 7), Buffer.alloc(0), Buffer.alloc(512, 1), Buffer.from('text')];
        for (const [i, name] of names.entries()) {
          await mkdir(join(folder, 'in', name, '..'), { recursive: true });
          await writeFile(join(folder, 'in', name), contents[i]!);
        }
        await unpack(tar(`--format=${format}`, '.'));
        for (const [i, name] of names.entries())
          assert.deepEqual(await readFile(join(folder, 'out', name)), contents[i]);
      });

    it('refuses links and paths that lead out, and half an archive', async () => {
      await writeFile(join(folder, 'in', 'file'), 'x');
      await symlink('/etc/passwd', join(folder, 'in', 'link'));
      await assert.rejects(unpack(tar('link')), { name: 'BadArchive' });
      await assert.rejects(unpack(tar('-P', '--transform', 's,file,../out-of-it,', 'file')), { name: 'BadArchive' });
      await assert.rejects(unpack(tar('-P', '--transform', 's,file,/tmp/goto3-absolute,', 'file')), {
        name: 'BadArchive',
      });
      await assert.rejects(unpack(tar('file').subarray(0, 60)));
      await eventually(
        'nothing lies outside',
        async () => (await readFile(join(folder, 'out-of-it')).catch(() => 'none')) === 'none',
      );
    });
  });
});
