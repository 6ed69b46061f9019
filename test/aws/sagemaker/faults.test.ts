import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { chainCredentials } from '../../../src/aws/credentials.ts';
import { TokenBuckets } from '../../../src/aws/token-bucket.ts';
import { failureTypes } from '../../../src/contracts/failures.ts';
import type { JobRef, JobRunner, JobSpec, JobStatus } from '../../../src/contracts/job.ts';
import { openSageMakerRunner } from '../../../src/jobs/sagemaker/open.ts';
import { eventually } from '../../jobs/eventually.ts';
import { argvOf, type ProgramName, writePrograms } from '../../jobs/programs.ts';
import { withVariables } from '../../support/versitygw/server.ts';
import { credentials, limits, type SageMakerFixture, setUpSageMaker } from './fixture.ts';

const resources = { gpus: 0, cpus: 1, memoryBytes: 2 ** 30, timeLimitMs: 60_000 };
const tsx = pathToFileURL(createRequire(import.meta.url).resolve('tsx')).href;

/** Counts its starts in its checkpoint, and ends by itself at the fourth. */
const fourStarts = `
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
const file = process.env.SM_CHECKPOINT_DIR + '/starts';
const start = (existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0) + 1;
writeFileSync(file, String(start));
console.log(JSON.stringify({ progress: start / 4, start }));
if (start < 4) setInterval(() => {}, 1000);
else writeFileSync(process.env.SM_MODEL_DIR + '/model.json', JSON.stringify({ start }));
`;

describe('SageMaker runner under faults, on the double', function () {
  // Workers of their own load the AWS SDK through tsx, and spot jobs start four containers.
  this.timeout(120_000);
  let fixture: SageMakerFixture;
  let runner: JobRunner;
  const expired = new Set<string>();

  before(async () => {
    fixture = await setUpSageMaker({
      quotas: { 'ml.c5.xlarge': 0 },
      keyIs: (key) => (expired.has(key) ? 'expired' : 'valid'),
    });
    runner = fixture.runner;
    await writePrograms(fixture.programsFolder);
    await writeFile(join(fixture.programsFolder, 'four-starts.mjs'), fourStarts);
  });
  after(async () => {
    await fixture.stop();
  });

  const specOf = (program: ProgramName | 'four-starts.mjs', more: Partial<JobSpec> = {}): JobSpec => ({
    name: `faults/${randomUUID()}/1`,
    program: program === 'four-starts.mjs' ? ['node', './four-starts.mjs'] : argvOf(program),
    workingDirectory: fixture.programsFolder,
    environment: {},
    hyperparameters: {},
    channels: {},
    resources,
    progressTimeoutMs: 60_000,
    nice: 0,
    ...more,
  });
  const end = (by: JobRunner, ref: JobRef): Promise<JobStatus> =>
    eventually(
      `the end of ${ref.name}`,
      async () => {
        const status = await by.describe(ref);
        return ['succeeded', 'failed', 'cancelled'].includes(status.state) && status;
      },
      30_000,
    );
  const creates = (ref: Pick<JobRef, 'externalId'>, status = 200): number =>
    fixture.double.calls.filter(
      (call) =>
        call.operation === 'CreateTrainingJob' &&
        call.status === status &&
        (call.body as { TrainingJobName: string }).TrainingJobName === ref.externalId.split('/')[1],
    ).length;
  const failures = (code: string): number =>
    fixture.double.calls.filter(({ answer }) => (answer as { __type?: string }).__type === code).length;
  const runs = async (ref: JobRef): Promise<string> =>
    await readFile(join((await runner.outputs(ref)).checkpointDirectory, 'runs'), 'utf8');

  it('a lost reply to the create: the name finds the job', async () => {
    fixture.double.loseReplyOf('CreateTrainingJob');
    const before = failures('ResourceInUse');
    const ref = await runner.submit(specOf('count.sh'));
    assert.equal(failures('ResourceInUse'), before + 1);
    assert.equal((await end(runner, ref)).state, 'succeeded');
    assert.equal(await runs(ref), 'run\n');
    assert.equal(creates(ref), 1);
  });

  it('a worker that is killed at any step of a submit: one training job', async () => {
    const folder = join(fixture.root, 'dying');
    const dying = ['job.recorded', 'job.staged', 'job.creating', 'job.created'].map(async (dieAt) => {
      const spec = specOf('count.sh');
      const input = { target: fixture.target, storeUrl: fixture.storeUrl, folder, limits, spec, dieAt };
      const program = fileURLToPath(new URL('submit-and-die.ts', import.meta.url));
      const child = spawn(process.execPath, ['--import', tsx, program, JSON.stringify(input)], {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: { ...process.env, NODE_OPTIONS: '--no-warnings' },
      });
      assert.equal(((await once(child, 'exit')) as [number | null, string | null])[1], 'SIGKILL', dieAt);
      const ref = await runner.submit(spec);
      assert.equal((await end(runner, ref)).state, 'succeeded');
      assert.equal(creates(ref), 1);
      assert.equal(await runs(ref), 'run\n');
    });
    await Promise.all(dying);
  });

  it('spot capacity that is taken away three times: the job goes on from its checkpoint', async () => {
    const spot = await fixture.runnerWith({ spot: { waitMs: 60_000 } });
    const ref = await spot.submit(specOf('four-starts.mjs', { expects: 'model' }));
    const stages = new Set<string>();
    for (const start of [1, 2, 3]) {
      await eventually(
        `start ${start}`,
        async () => {
          const { progress, stage } = await spot.describe(ref);
          stages.add(stage ?? '');
          return progress?.metrics.start === start;
        },
        30_000,
      );
      fixture.jobOf(ref).interrupt();
    }
    const status = await end(spot, ref);
    assert.equal(status.state, 'succeeded', status.reason);
    assert.ok((status.billableSeconds ?? 0) >= 1);
    assert.equal(fixture.jobOf(ref).starts.length, 4);
    assert.equal(fixture.jobOf(ref).transitions.filter(({ Status }) => Status === 'Interrupted').length, 3);
    const model = await readFile(join((await spot.outputs(ref)).modelDirectory, 'model.json'), 'utf8');
    assert.deepEqual(JSON.parse(model), { start: 4 });
    assert.equal(creates(ref), 1);
    assert.ok(stages.has('Training'));
  });

  it('credentials that expire while a job runs are read again; until somebody renews them the watcher is only told to wait', async () => {
    const file = join(fixture.root, 'credentials');
    const write = (key: string): Promise<void> =>
      writeFile(file, `[renewed]\naws_access_key_id = ${key}\naws_secret_access_key = x\naws_session_token = ${key}\n`);
    await write('ASIAFIRST');
    const restore = withVariables({ AWS_SHARED_CREDENTIALS_FILE: file });
    try {
      const renewing = await fixture.runnerWith({}, { credentials: chainCredentials('renewed'), patienceMs: 1_000 });
      const ref = await renewing.submit(specOf('halves.mjs'));
      await eventually('it runs', async () => (await renewing.describe(ref)).state === 'running');
      expired.add('ASIAFIRST');
      await eventually('its watcher notices', () =>
        renewing.describe(ref).then(
          () => false,
          (error: Error & { type?: string }) => {
            assert.equal(error.type, failureTypes.awsUnavailable, error.message);
            assert.match(error.message, /ExpiredTokenException/);
            return true;
          },
        ),
      );
      await write('ASIASECOND');
      assert.equal((await renewing.describe(ref)).state, 'running');
      await writeFile(join((await fixture.liveFolders!(ref)).checkpointDirectory, 'go'), '');
      assert.equal((await end(renewing, ref)).state, 'succeeded');
      assert.ok(failures('ExpiredTokenException') >= 2);
    } finally {
      restore();
    }
  });

  const instances = [
    { type: 'ml.c5.xlarge', cpus: 4, memory: 8 * 2 ** 30, gpus: 0 },
    { type: 'ml.m5.xlarge', cpus: 4, memory: 16 * 2 ** 30, gpus: 0 },
  ];

  it('no quota for the first instance type: the next one is taken', async () => {
    const before = failures('ResourceLimitExceeded');
    const ref = await (await fixture.runnerWith({ instances })).submit(specOf('count.sh'));
    assert.equal(failures('ResourceLimitExceeded'), before + 1);
    assert.equal(fixture.jobOf(ref).input.ResourceConfig.InstanceType, 'ml.m5.xlarge');
    assert.equal((await end(runner, ref)).state, 'succeeded');
  });

  it('no quota at all: the attempt ends as capacity, for good, and the next one is another', async () => {
    const poor = await fixture.runnerWith({ instances: instances.slice(0, 1) });
    const spec = specOf('count.sh');
    const ref = await poor.submit(spec);
    const status = await poor.describe(ref);
    assert.equal(status.failureClass, 'capacity');
    assert.match(status.reason ?? '', /account-level service limit .*Service Quotas/);
    fixture.double.jobs.rules.quotas['ml.c5.xlarge'] = 1;
    try {
      assert.deepEqual(await poor.submit(spec), ref);
      assert.deepEqual(await poor.describe(ref), status);
      const next = await poor.submit({ ...spec, name: spec.name.replace(/1$/, '2') });
      assert.equal((await end(poor, next)).state, 'succeeded');
    } finally {
      fixture.double.jobs.rules.quotas['ml.c5.xlarge'] = 0;
    }
  });

  it('EC2 has no such instance: class capacity, and the next attempt takes the next type', async () => {
    const two = await fixture.runnerWith({ instances: [instances[1]!, { ...instances[1]!, type: 'ml.m5.2xlarge' }] });
    const spec = specOf('count.sh');
    fixture.double.jobs.withoutCapacity.add('ml.m5.xlarge');
    try {
      const status = await end(two, await two.submit(spec));
      assert.equal(status.failureClass, 'capacity');
      assert.match(status.reason ?? '', /^CapacityError/);
      const next = await two.submit({ ...spec, name: spec.name.replace(/1$/, '2') });
      assert.equal(fixture.jobOf(next).input.ResourceConfig.InstanceType, 'ml.m5.2xlarge');
      assert.equal((await end(two, next)).state, 'succeeded');
    } finally {
      fixture.double.jobs.withoutCapacity.clear();
    }
  });

  it('a withdrawal before the create: nothing is created, and a submit that comes later finds it cancelled', async () => {
    const spec = specOf('count.sh');
    assert.equal(await runner.withdraw!(spec.name), undefined);
    const ref = await fixture.anotherRunner().submit(spec);
    assert.equal((await runner.describe(ref)).state, 'cancelled');
    assert.equal(creates(ref), 0);
  });

  it('a storm of throttles: every job runs once, and impatient callers hear AwsUnavailable', async () => {
    const slow = await setUpSageMaker({ callsPerSecond: 2 }, { callsPerSecond: 50 });
    try {
      await writePrograms(slow.programsFolder);
      const workers = [slow.runner, slow.anotherRunner(), slow.anotherRunner()];
      const specs = Array.from({ length: 6 }, () => ({ ...specOf('count.sh'), workingDirectory: slow.programsFolder }));
      const refs = await Promise.all(specs.map((spec, i) => workers[i % 3]!.submit(spec)));
      for (const [i, ref] of refs.entries())
        assert.equal((await end(workers[i % 3]!, ref)).state, 'succeeded', ref.name);
      const answers = slow.double.calls.filter(({ operation }) => operation === 'CreateTrainingJob');
      assert.equal(answers.filter(({ status }) => status === 200).length, 6);
      assert.ok(
        slow.double.calls.some(({ answer }) => (answer as { __type?: string }).__type === 'ThrottlingException'),
      );
      const impatient = await slow.runnerWith({}, { patienceMs: 1 });
      const asked = await Promise.allSettled(specs.map((spec) => impatient.describe({ ...refs[0]!, name: spec.name })));
      const refused = asked
        .filter((each) => each.status === 'rejected')
        .map((each) => each.reason as { type?: string });
      assert.ok(refused.length > 0 && refused.some(({ type }) => type === failureTypes.awsUnavailable));
    } finally {
      await slow.stop();
    }
  });

  describe('bad input', () => {
    const refused = async (
      by: JobRunner,
      type: string,
      message: RegExp,
      more: Partial<JobSpec> = {},
    ): Promise<void> => {
      const spec = specOf('count.sh', more);
      await assert.rejects(by.submit(spec), (error: Error & { type?: string }) => {
        assert.equal(error.type, type, error.message);
        assert.match(error.message, message);
        return true;
      });
      assert.equal(
        fixture.double.calls.filter(({ status, body }) => status === 200 && JSON.stringify(body).includes(spec.name))
          .length,
        0,
      );
    };

    it('a role that SageMaker cannot assume', async () => {
      const role = 'arn:aws:iam::123456789012:role/nobody';
      await refused(
        await fixture.runnerWith({ role }),
        failureTypes.awsRefused,
        /let arn:.*nobody trust the service sagemaker/,
      );
    });

    it('another region than the endpoint’s', async () => {
      await refused(
        await fixture.runnerWith({ region: 'eu-west-1' }),
        failureTypes.awsRefused,
        /change "region" in the target/,
      );
    });

    it('a job that no instance of the target can hold, and what SageMaker does not run', async () => {
      const large = { resources: { ...resources, cpus: 64 } };
      await refused(
        runner,
        failureTypes.invalidInput,
        /none of the target's instances \(ml\.m5\.xlarge, .*64 cpus/,
        large,
      );
      const long = { resources: { ...resources, timeLimitMs: 29 * 86_400_000 } };
      await refused(runner, failureTypes.invalidInput, /28 days/, long);
      await refused(runner, failureTypes.invalidInput, /array/, { array: { tasks: '0-3', atOnce: 2 } });
    });

    it('a program outside the folder that goes along', async () => {
      const upload = await fixture.runnerWith({ code: 'upload' });
      await refused(upload, failureTypes.invalidInput, /lies outside .*"code: image"/, {
        program: ['node', '../x.mjs'],
      });
    });

    it('a store that SageMaker cannot read', async () => {
      const store = { ...fixture.store, url: 'file:///srv/store' };
      const open = openSageMakerRunner({
        ...{ name: 'double', target: fixture.target, store, buckets: new TokenBuckets() },
        ...{ credentials: credentials(), secrets: { resolve: async () => '' }, folder: fixture.root },
      });
      await assert.rejects(open, {
        type: failureTypes.invalidInput,
        message: /the store is file:.*s3:\/\/bucket\/prefix/,
      });
    });
  });

  it('copies of outputs on the worker go after a week, and come again from the bucket', async () => {
    const [old, young] = await Promise.all([runner.submit(specOf('count.sh')), runner.submit(specOf('count.sh'))]);
    for (const ref of [old, young]) assert.equal((await end(runner, ref)).state, 'succeeded');
    const { modelDirectory } = await runner.outputs(old);
    const weekAgo = new Date(Date.now() - 8 * 86_400_000);
    await utimes(dirname(modelDirectory), weekAgo, weekAgo);
    await runner.outputs(young);
    await assert.rejects(readdir(modelDirectory), { code: 'ENOENT' });
    assert.deepEqual(await readdir((await runner.outputs(old)).modelDirectory), ['model.txt']);
  });

  it('a program that goes along in its folder runs there, by relative paths', async () => {
    const ref = await (await fixture.runnerWith({ code: 'upload' })).submit(specOf('count.sh', { expects: 'model' }));
    assert.equal((await end(runner, ref)).state, 'succeeded');
    assert.equal(await readFile(join((await runner.outputs(ref)).modelDirectory, 'model.txt'), 'utf8'), 'done\n');
  });
});
