import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { JobRef, JobSpec, JobStatus } from '../../src/contracts/job.ts';
import { readProcess } from '../../src/jobs/local/processes.ts';
import { signalProcess } from '../../src/jobs/local/program-processes.ts';
import { channelsFromBlobs } from '../../src/jobs/materialise.ts';
import { describeRunner } from './conformance.ts';
import { eventually } from './eventually.ts';
import { type LocalFixture, limits, setUpLocal } from './local-fixture.ts';
import { argvOf, type ProgramName, writePrograms } from './programs.ts';

describeRunner('local', setUpLocal);

describe('local runner: what only it can suffer', () => {
  let local: LocalFixture;
  before(async () => {
    local = await setUpLocal();
    await writePrograms(local.programsFolder);
  });
  after(async () => {
    await local.stop();
  });

  const specOf = (program: ProgramName, more: Partial<JobSpec> = {}): JobSpec => ({
    name: `local/${randomUUID()}/1`,
    program: argvOf(program),
    workingDirectory: local.programsFolder,
    environment: {},
    hyperparameters: {},
    channels: {},
    resources: { gpus: 0, cpus: 1, memoryBytes: 2 ** 30, timeLimitMs: 60_000 },
    progressTimeoutMs: 60_000,
    nice: 0,
    ...more,
  });
  const end = (ref: JobRef, runner = local.runner): Promise<JobStatus> =>
    eventually(`the end of ${ref.name}`, async () => {
      const status = await runner.describe(ref);
      return ['succeeded', 'failed', 'cancelled'].includes(status.state) && status;
    });
  const startRunning = async (spec: JobSpec, runner = local.runner): Promise<JobRef> => {
    const ref = await runner.submit(spec);
    await eventually('progress', async () => (await runner.describe(ref)).progress);
    return ref;
  };
  const isGone = (pid: number): boolean => readProcess(pid)?.zombie ?? true;
  const runs = async (ref: JobRef): Promise<number> =>
    (await readFile(join(local.folderOf(ref).container.checkpoints, 'runs'), 'utf8')).trimEnd().split('\n').length;

  describe('a killed wrapper', () => {
    /** A child that no signal to the group reaches, and that no parent's death ends. */
    const withLingeringChild = {
      program: [
        'sh',
        '-c',
        `setsid sh -c 'echo $$ > "$SM_OUTPUT_DATA_DIR/pid"; exec sleep 1000' &
         while [ ! -s "$SM_OUTPUT_DATA_DIR/pid" ]; do sleep 0.01; done
         echo '{"progress": 0.1}'; while :; do sleep 0.02; done`,
      ],
    };
    const lingeringChild = async (ref: JobRef): Promise<number> =>
      Number(await readFile(join(local.folderOf(ref).container.outputData, 'pid'), 'utf8'));

    it('is an infrastructure failure, and nothing of its program is left when that is said', async () => {
      const ref = await startRunning(specOf('hang.sh', withLingeringChild));
      const child = await lingeringChild(ref);
      assert.equal(isGone(child), false);
      signalProcess(await local.claimOf(ref), 'SIGKILL');
      const status = await end(ref, local.anotherRunner());
      assert.equal(status.failureClass, 'infrastructure');
      assert.match(status.reason ?? '', /wrapper .* was killed/);
      assert.ok(isGone((await local.programOf(ref)).pid));
      assert.ok(isGone(child));
      assert.deepEqual(await local.runner.describe(ref), status);
    });

    it('together with its program: the same', async () => {
      const ref = await startRunning(specOf('save-on-term.sh'));
      signalProcess(await local.programOf(ref), 'SIGKILL');
      signalProcess(await local.claimOf(ref), 'SIGKILL');
      assert.equal((await end(ref)).failureClass, 'infrastructure');
    });

    it('after a cancel: cancelled', async () => {
      const ref = await startRunning(specOf('save-on-term.sh'));
      const claim = await local.claimOf(ref);
      signalProcess(claim, 'SIGSTOP');
      await local.runner.cancel(ref);
      signalProcess(claim, 'SIGKILL');
      assert.equal((await end(ref)).state, 'cancelled');
    });
  });

  describe('a wrapper that has to give up', () => {
    it('is told to leave without a cancel: its program saves, and the class is preempted', async () => {
      const ref = await startRunning(specOf('save-on-term.sh'));
      signalProcess(await local.claimOf(ref), 'SIGTERM');
      assert.equal((await end(ref)).failureClass, 'preempted');
      await stat(join(local.folderOf(ref).container.checkpoints, 'saved'));
    });

    it('cannot renew its claim in time: it kills its program', async () => {
      const ref = await startRunning(
        specOf('save-on-term.sh'),
        local.runnerWith({ limits: { ...limits, renewWithinMs: 500 } }),
      );
      const { heartbeat } = local.folderOf(ref);
      await rename(heartbeat, `${heartbeat}.away`);
      const status = await end(ref);
      assert.equal(status.failureClass, 'infrastructure');
      assert.match(status.reason ?? '', /could not renew its claim within 500ms/);
      assert.ok(isGone((await local.programOf(ref)).pid));
    });

    it('ignores SIGTERM: its program is killed after the grace', async () => {
      const stubborn = {
        program: ['sh', '-c', `trap '' TERM; echo '{"progress": 0.1}'; while :; do sleep 0.02; done`],
      };
      const ref = await startRunning(
        specOf('hang.sh', stubborn),
        local.runnerWith({ limits: { ...limits, graceMs: 200 } }),
      );
      await local.runner.cancel(ref);
      const status = await end(ref);
      assert.equal(status.state, 'cancelled');
      assert.equal(status.signal, 'SIGKILL');
    });
  });

  describe('another host', () => {
    it('sees a job that renews as running, then unknown, then lost after twice the renewal time; the first word stays', async () => {
      const renewWithinMs = 1_000;
      const ref = await startRunning(
        specOf('save-on-term.sh'),
        local.runnerWith({ limits: { ...limits, renewWithinMs } }),
      );
      const elsewhere = local.runnerWith({ host: 'host-b' });
      await eventually('running', async () => (await elsewhere.describe(ref)).state === 'running');
      const claim = await local.claimOf(ref);
      // A paused machine: wrapper and program stand still and know nothing of it.
      signalProcess(claim, 'SIGSTOP');
      await eventually('unknown', async () => (await elsewhere.describe(ref)).state === 'unknown');
      const silentSinceMs = performance.now();
      const lost = await end(ref, elsewhere);
      assert.equal(lost.failureClass, 'infrastructure');
      assert.match(lost.reason ?? '', /has not renewed/);
      assert.ok(performance.now() - silentSinceMs >= renewWithinMs / 2);
      // It wakes up: it must not overwrite what others have acted upon, and its program must go.
      signalProcess(claim, 'SIGCONT');
      const program = await local.programOf(ref);
      await eventually('the program to be gone', () => isGone(program.pid));
      await eventually('the wrapper to be gone', () => isGone(claim.pid));
      assert.deepEqual(await local.runner.describe(ref), { ...lost });
    });
  });

  describe('a killed submitter', () => {
    const submitAndDie = async (spec: JobSpec, dieAt: string): Promise<void> => {
      const { jobsFolder, host, gpuLeases } = local.options;
      const argument = JSON.stringify({ options: { jobsFolder, host, gpuLeases, limits }, spec, dieAt });
      const script = fileURLToPath(new URL('./submit-and-die.ts', import.meta.url));
      const child = spawn(process.execPath, ['--import', 'tsx', script, argument], { stdio: 'ignore' });
      const [, signal] = (await once(child, 'exit')) as [number | null, string | null];
      assert.equal(signal, 'SIGKILL', `it was to die at ${dieAt}`);
    };
    const rows = Buffer.from('row\n');
    const steps = ['job.recorded', 'materialise', 'job.staged', 'secrets', 'job.wrapperStarted', 'job.claimed'];

    it('at any step: the next submit goes on, and the program runs once', async () => {
      const train = [{ path: 'rows.jsonl', digest: await local.put(rows), sizeBytes: rows.length }];
      const more = { channels: { train }, environment: { TOKEN: { secret: 'token' } } };
      await Promise.all(
        steps.map(async (dieAt) => {
          const spec = specOf('count.sh', more);
          await submitAndDie(spec, dieAt);
          const ref = await local.runner.submit(spec);
          assert.equal((await end(ref)).state, 'succeeded', dieAt);
          assert.equal(await runs(ref), 1, dieAt);
          const left = await readdir(local.folderOf(ref).path);
          assert.deepEqual(
            left.filter((file) => file.startsWith('staging-')),
            [],
            dieAt,
          );
        }),
      );
    });

    it('before its wrapper has claimed, then a cancel: the job never runs, also when it is submitted again', async () => {
      const spec = specOf('count.sh');
      await submitAndDie(spec, 'job.wrapperStarted');
      const specDigest = (JSON.parse(await readFile(local.folderOf(spec).record, 'utf8')) as JobRef).specDigest;
      const ref: JobRef = { runner: 'local', name: spec.name, specDigest, externalId: '' };
      assert.equal((await local.runner.describe(ref)).state, 'pending');
      await local.runner.cancel(ref);
      assert.equal((await local.runner.describe(ref)).state, 'cancelled');
      await local.runner.submit(spec);
      assert.equal((await local.runner.describe(ref)).state, 'cancelled');
      await assert.rejects(runs(ref), { code: 'ENOENT' });
    });

    it('a worker that is killed leaves its jobs running, and another worker finds them', async () => {
      const spec = specOf('save-on-term.sh');
      await submitAndDie(spec, 'job.claimed');
      const ref = await local.runner.submit(spec);
      await eventually('progress', async () => (await local.runner.describe(ref)).progress);
      await local.runner.cancel(ref);
      assert.equal((await end(ref)).state, 'cancelled');
      assert.equal(await runs(ref), 1);
    });
  });

  it('bytes that do not match their digest start nothing', async () => {
    const digest = await local.put(Buffer.from('one'));
    const spec = specOf('count.sh', { channels: { train: [{ path: 'a', digest, sizeBytes: 3 }] } });
    const others = local.runnerWith({
      channels: channelsFromBlobs({ get: async () => Readable.from([Buffer.from('two')]) }),
    });
    await assert.rejects(others.submit(spec), {
      type: 'CorruptBlob',
      message: new RegExp(`^blob ${digest} is corrupt`),
    });
    assert.deepEqual((await readdir(local.folderOf(spec).path)).toSorted(), ['job.json']);
  });

  it('a size that is not that of the bytes starts nothing', async () => {
    const digest = await local.put(Buffer.from('one'));
    const spec = specOf('count.sh', { channels: { train: [{ path: 'a', digest, sizeBytes: 4 }] } });
    await assert.rejects(local.runner.submit(spec), { type: 'InvalidInput', message: /^file a: expected 4 bytes/ });
  });

  it('a secret that is not there starts nothing, and the error is the source’s own', async () => {
    const secrets = { resolve: () => Promise.reject(new Error('no secret "token"')) };
    const spec = specOf('count.sh', { environment: { TOKEN: { secret: 'token' } } });
    await assert.rejects(local.runnerWith({ secrets }).submit(spec), { message: 'no secret "token"' });
    const ref = await local.runner.submit(spec);
    assert.equal((await end(ref)).state, 'succeeded');
    assert.equal(await runs(ref), 1);
  });

  it('runs TypeScript, at a lower priority from its first instruction on', async () => {
    await writeFile(
      join(local.programsFolder, 'typed.ts'),
      `import { getPriority } from 'node:os';\nconst nice: number = getPriority();\nconsole.log(JSON.stringify({ progress: 1, nice }));\n`,
    );
    const ref = await local.runner.submit({ ...specOf('count.sh'), program: ['node', 'typed.ts'], nice: 7 });
    const status = await end(ref);
    assert.equal(status.state, 'succeeded', status.reason);
    assert.deepEqual(status.progress?.metrics, { nice: 7 });
  });

  describe('GPUs', () => {
    const withGpus = (gpus: number): JobSpec =>
      specOf('hang.sh', {
        program: [
          'sh',
          '-c',
          `echo "gpus=$CUDA_VISIBLE_DEVICES"; echo '{"progress": 0.1}'; while [ ! -e "$SM_CHECKPOINT_DIR/go" ]; do sleep 0.02; done`,
        ],
        resources: { gpus, cpus: 1, memoryBytes: 2 ** 30, timeLimitMs: 60_000 },
      });
    const devicesOf = async (ref: JobRef): Promise<string | undefined> =>
      /gpus=(.*)/.exec((await local.runner.logs(ref)).lines.join('\n'))?.[1];
    const letGo = (ref: JobRef) => writeFile(join(local.folderOf(ref).container.checkpoints, 'go'), '');

    it('each device has one job, and a killed one gives its device to the next', async () => {
      const first = await startRunning(withGpus(1));
      const second = await startRunning(withGpus(1));
      const none = await startRunning(withGpus(0));
      assert.deepEqual([await devicesOf(first), await devicesOf(second), await devicesOf(none)], ['0', '1', '']);
      const third = await local.runner.submit(withGpus(1));
      assert.equal((await local.runner.describe(third)).state, 'pending');
      signalProcess(await local.claimOf(first), 'SIGKILL');
      await eventually('progress of the third', async () => (await local.runner.describe(third)).progress);
      assert.equal(await devicesOf(third), '0');
      assert.ok(isGone((await local.programOf(first)).pid));
      for (const ref of [second, third, none]) await letGo(ref);
      for (const ref of [second, third, none]) assert.equal((await end(ref)).state, 'succeeded');
    });

    it('more than the host has are refused at once', async () => {
      await assert.rejects(local.runner.submit(withGpus(3)), {
        type: 'InvalidInput',
        message: /asks for 3, host host-a has 2/,
      });
    });
  });
});
