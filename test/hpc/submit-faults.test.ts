import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { JobSpec } from '../../src/contracts/job.ts';
import { slurmJobName } from '../../src/jobs/slurm/directives.ts';
import { createRestTransport } from '../../src/jobs/slurm/rest/transport.ts';
import { phaseOf } from '../../src/jobs/slurm/states.ts';
import { eventually } from '../jobs/eventually.ts';
import { writePrograms } from '../jobs/programs.ts';
import { type Cluster, startCluster } from '../support/slurm/cluster.ts';
import { describeSlurm } from '../support/slurm/installed.ts';
import { fatesOf, faultySbatch } from './faulty-sbatch.ts';
import { jobsOf } from './job-specs.ts';
import { limits, type SlurmFixture, setUpSlurm } from './slurm-fixture.ts';

const asked = Number(process.env.GOTO3_HPC_JOBS ?? 60);

describeSlurm('Slurm: a submit whose answer is lost', () => {
  let cluster: Cluster;
  before(async () => {
    cluster = await startCluster({ nodes: 2, cpusPerNode: 32 });
  });
  after(async () => {
    await cluster.stop();
  });

  it(`${asked} jobs over an sbatch that lies: as many results, none run twice, none lost`, async function () {
    this.timeout(240_000);
    const folder = await mkdtemp(join(cluster.shared, 'faulty-'));
    const commands = await faultySbatch(folder, 5);
    const fixture = await setUpSlurm(cluster, 'cli', { commands });
    await writePrograms(fixture.programsFolder);
    const jobs = jobsOf(fixture);
    // Each first digit equally often, so that every fault fires.
    const specs = Array.from({ length: asked }, (_, i) => {
      for (;;) {
        const spec = jobs.specOf('count.sh', { expects: 'model' });
        const digit = slurmJobName(fixture.options.target.folder, spec.name).slice('goto3-'.length)[0]!;
        if (Number.parseInt(digit, 16) === i % 16) return spec;
      }
    });
    const refs = await inParallel(8, specs, (spec) => fixture.runner.submit(spec));
    const ends = await inParallel(8, refs, (ref) => jobs.end(ref, 120_000));
    assert.deepEqual(
      ends.filter(({ state }) => state !== 'succeeded'),
      [],
    );

    const fates = await fatesOf(folder);
    assert.ok(fates['submitted-then-timeout'] >= asked / 4, `the fault fired: ${JSON.stringify(fates)}`);
    assert.ok(fates['submitted-late'] > 0 && fates['lost-before'] > 0, `the fault fired: ${JSON.stringify(fates)}`);
    // The late ones arrive after all; nothing may be running or waiting when the runs are counted.
    const inSlurm = await eventually(
      'all of Slurm’s jobs to end',
      async () => {
        const all = await fixture.options.transport.queue();
        const expected = fates.fine + fates['submitted-then-timeout'] + fates['submitted-late'];
        return all.length === expected && all.every((job) => phaseOf(job.states) === 'ended') && all;
      },
      60_000,
    );
    const logs = await Promise.all(specs.map((spec) => readFile(fixture.folderOf(spec).wrapperLog, 'utf8')));
    const turnedAway = logs.join('').split('duplicate').length - 1;
    const runs = await Promise.all(specs.map((spec) => jobs.runs(spec)));
    const table = {
      asked,
      submitted: inSlurm.length,
      turnedAway,
      run: runs.filter((n) => n === 1).length,
      runTwice: runs.filter((n) => n > 1).length,
      lost: runs.filter((n) => n === 0).length,
    };
    console.log(`      ${JSON.stringify({ ...fates, ...table })}`);
    assert.equal(inSlurm.length, asked + turnedAway);
    assert.equal(turnedAway, fates['submitted-late']);
    assert.deepEqual(
      { run: table.run, runTwice: table.runTwice, lost: table.lost },
      { run: asked, runTwice: 0, lost: 0 },
    );
  });

  for (const kind of ['cli', 'rest'] as const)
    describe(`by ${kind}`, () => {
      let fixture: SlurmFixture;
      before(async () => {
        fixture = await setUpSlurm(cluster, kind);
        await writePrograms(fixture.programsFolder);
      });

      it('a worker killed at any step of a submit: the next one goes on, one job in Slurm, one run', async () => {
        const jobs = jobsOf(fixture);
        const steps = ['job.recorded', 'job.staged', 'job.submitting', 'job.submitted', 'job.accepted'];
        const names = new Set<string>();
        await Promise.all(
          steps.map(async (dieAt) => {
            const spec = jobs.specOf('count.sh');
            names.add(slurmJobName(fixture.options.target.folder, spec.name));
            await submitAndDie(fixture, spec, dieAt);
            const ref = await fixture.runner.submit(spec);
            assert.equal((await jobs.end(ref)).state, 'succeeded', dieAt);
            assert.equal(await jobs.runs(ref), 1, dieAt);
          }),
        );
        const mine = (await fixture.options.transport.queue()).filter((job) => names.has(job.name));
        assert.equal(mine.length, steps.length);
      });

      it('what the cluster will never take is a userError with its own words, and nothing is submitted', async () => {
        const jobs = jobsOf(fixture);
        const before = (await fixture.options.transport.queue()).length;
        const elsewhere = { ...fixture.options.target, partition: 'nowhere' };
        const runner = fixture.runnerWith({ target: elsewhere });
        const ref = await runner.submit(jobs.specOf('count.sh'));
        const status = await runner.describe(ref);
        assert.deepEqual([status.state, status.failureClass], ['failed', 'userError']);
        assert.match(status.reason ?? '', /[Ii]nvalid partition/);
        assert.equal((await fixture.options.transport.queue()).length, before);
      });
    });

  it('what can never start is taken out of the queue with Slurm’s reason', async () => {
    const fixture = await setUpSlurm(cluster, 'cli');
    await writePrograms(fixture.programsFolder);
    const jobs = jobsOf(fixture);
    const resources = { gpus: 0, cpus: 4_000, memoryBytes: 2 ** 28, timeLimitMs: 60_000 };
    const status = await jobs.end(await fixture.runner.submit(jobs.specOf('count.sh', { resources })));
    assert.deepEqual([status.state, status.failureClass], ['failed', 'userError']);
    assert.match(status.reason ?? '', /cannot start as it is: PartitionConfig|BadConstraints/);
    const alive = (await fixture.options.transport.queue()).filter((job) => phaseOf(job.states) === 'waiting');
    assert.deepEqual(alive, []);
  });

  it('an expired token, a rotated key: the call is made again with a new token', async () => {
    const fixture = await setUpSlurm(cluster, 'rest');
    const key = await readFile(cluster.jwtKey);
    const clocks = [Date.now() - 7_200_000];
    const expired = createRestTransport({
      url: cluster.restUrl,
      user: userInfo().username,
      key: async () => key,
      nowMs: () => clocks.pop() ?? Date.now(),
    });
    await expired.queue();
    assert.equal(clocks.length, 0);
    const keys = [Buffer.alloc(32)];
    const rotated = createRestTransport({
      url: cluster.restUrl,
      user: userInfo().username,
      key: async () => keys.pop() ?? key,
    });
    const jobs = jobsOf(fixture);
    await writePrograms(fixture.programsFolder);
    const ref = await fixture.runnerWith({ transport: rotated }).submit(jobs.specOf('count.sh'));
    assert.equal(keys.length, 0);
    assert.equal((await jobs.end(ref)).state, 'succeeded');
  });

  const submitAndDie = async (fixture: SlurmFixture, spec: JobSpec, dieAt: string): Promise<void> => {
    const environment = { PATH: process.env.PATH ?? '', HOME: userInfo().homedir, USER: userInfo().username };
    const argument = JSON.stringify({ target: fixture.options.target, environment, limits, spec, dieAt });
    const script = fileURLToPath(new URL('./submit-and-die.ts', import.meta.url));
    const child = spawn(process.execPath, ['--import', 'tsx', script, argument], { stdio: 'inherit' });
    const [, signal] = (await once(child, 'exit')) as [number | null, string | null];
    assert.equal(signal, 'SIGKILL', `it was to die at ${dieAt}`);
  };
});

async function inParallel<T, R>(width: number, items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const one = async (): Promise<void> => {
    for (let i = next++; i < items.length; i = next++) results[i] = await work(items[i]!);
  };
  await Promise.all(Array.from({ length: width }, one));
  return results;
}
