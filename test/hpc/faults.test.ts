import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import type { JobRef } from '../../src/contracts/job.ts';
import { signalProcess } from '../../src/jobs/local/program-processes.ts';
import { ClusterUnavailable } from '../../src/jobs/slurm/errors.ts';
import { phaseOf } from '../../src/jobs/slurm/states.ts';
import { eventually } from '../jobs/eventually.ts';
import { writePrograms } from '../jobs/programs.ts';
import { type Cluster, startCluster } from '../support/slurm/cluster.ts';
import { describeSlurm } from '../support/slurm/installed.ts';
import { jobsOf } from './job-specs.ts';
import { limits, type SlurmFixture, setUpSlurm } from './slurm-fixture.ts';

describeSlurm('Slurm: what happens to a job that runs', () => {
  let cluster: Cluster;
  let fixture: SlurmFixture;
  let jobs: ReturnType<typeof jobsOf>;
  before(async () => {
    cluster = await startCluster({ nodes: 2, minJobAgeSeconds: 10, killOverMemory: true });
    fixture = await setUpSlurm(cluster, 'cli');
    await writePrograms(fixture.programsFolder);
    jobs = jobsOf(fixture);
  });
  after(async () => {
    await cluster.stop();
  });

  const idOf = (ref: JobRef): string => ref.externalId.split('/')[1]!;
  const nodeOf = async (ref: JobRef): Promise<string> =>
    (await cluster.command('squeue', '-h', '-j', idOf(ref), '-o', '%N')).trim();

  it('scontrol requeue: the same Slurm job takes its own claim again and starts anew; the second run is the result', async () => {
    const ref = await fixture.runner.submit(jobs.waiting());
    await jobs.run(ref, 1);
    await cluster.command('scontrol', 'requeue', idOf(ref));
    await jobs.run(ref, 2);
    await jobs.letGo(ref);
    assert.equal((await jobs.end(ref)).state, 'succeeded');
    assert.deepEqual((await fixture.claimOf(ref)).batchJob, { id: idOf(ref), restarts: 1 });
    assert.equal(await jobs.runs(ref), 2);
  });

  it('its node is set DOWN: it goes on elsewhere, and is never called failed meanwhile', async () => {
    const ref = await fixture.runner.submit(jobs.waiting());
    await jobs.run(ref, 1);
    const node = await nodeOf(ref);
    const seen = new Set<string>();
    // Drained as well: with ReturnToService=2 a node that only is DOWN comes back by itself.
    for (const state of ['drain', 'down'])
      await cluster.command('scontrol', 'update', `nodename=${node}`, `state=${state}`, 'reason=test');
    try {
      await eventually(
        'the second run',
        async () => {
          const status = await fixture.runner.describe(ref);
          seen.add(status.state);
          return status.progress?.metrics.run === 2;
        },
        40_000,
      );
      assert.notEqual(await nodeOf(ref), node);
    } finally {
      await cluster.command('scontrol', 'update', `nodename=${node}`, 'state=resume');
    }
    await jobs.letGo(ref);
    assert.equal((await jobs.end(ref)).state, 'succeeded');
    assert.ok(!seen.has('failed') && !seen.has('cancelled'), [...seen].join());
    assert.equal(await jobs.runs(ref), 2);
    await cluster.ready();
  });

  it('slurmctld is away: the job is known to run and to end, a submit says so and is safe to repeat', async () => {
    const ref = await fixture.runner.submit(jobs.waiting());
    await jobs.run(ref, 1);
    await cluster.controller.stop();
    const next = jobs.specOf('count.sh');
    try {
      assert.equal((await fixture.runner.describe(ref)).state, 'running');
      await assert.rejects(fixture.runner.submit(next), ClusterUnavailable);
      await jobs.letGo(ref);
      assert.equal((await jobs.end(ref)).state, 'succeeded');
    } finally {
      cluster.controller.start();
    }
    await cluster.ready();
    const second = await fixture.runner.submit(next);
    assert.equal((await jobs.end(second)).state, 'succeeded');
    assert.equal(await jobs.runs(second), 1);
    const { name } = (await fixture.options.transport.queue()).find((job) => job.id === idOf(second))!;
    assert.equal((await fixture.options.transport.queue()).filter((job) => job.name === name).length, 1);
  });

  it('slurmctld is away while a wrapper dies: unknown, and the truth when it is back', async () => {
    const ref = await fixture.runner.submit(jobs.waiting());
    await jobs.run(ref, 1);
    await cluster.controller.stop();
    try {
      signalProcess(await fixture.claimOf(ref), 'SIGKILL');
      await eventually('unknown', async () => (await fixture.runner.describe(ref)).state === 'unknown');
    } finally {
      cluster.controller.start();
    }
    const status = await jobs.end(ref);
    assert.deepEqual([status.state, status.failureClass], ['failed', 'infrastructure'], status.reason);
    await cluster.ready();
  });

  it('Slurm ends it for memory, wrapper and all: outOfMemory', async () => {
    const blind = fixture.runnerWith({ limits: { ...limits, memoryCheckEveryMs: 3_600_000 } });
    const hungry = jobs.specOf('count.sh', {
      program: [
        'node',
        '-e',
        'const k=[]; setInterval(() => k.length < 60 && k.push(Buffer.alloc(10 * 2 ** 20, 1)), 5)',
      ],
    });
    const ref = await blind.submit(hungry);
    const status = await jobs.end(ref, 40_000, blind);
    assert.deepEqual([status.state, status.failureClass], ['failed', 'outOfMemory'], status.reason);
  });

  it('an operator cancels it with scancel: cancelled, not tried again', async () => {
    const ref = await fixture.runner.submit(jobs.waiting());
    await jobs.run(ref, 1);
    await cluster.command('scancel', idOf(ref));
    const status = await jobs.end(ref);
    assert.equal(status.state, 'cancelled', status.reason);
    assert.equal(await jobs.runs(ref), 1);
  });

  it('a wrapper that ignores its cancel is ended by Slurm', async () => {
    const ref = await fixture.runner.submit(jobs.waiting());
    await jobs.run(ref, 1);
    const claim = await fixture.claimOf(ref);
    signalProcess(claim, 'SIGSTOP');
    await fixture.runner.cancel(ref);
    const status = await jobs.end(ref);
    assert.equal(status.state, 'cancelled', status.reason);
  });

  it('the queue has forgotten it (MinJobAge) and there are no accounts: the record on the shared folder stands', async () => {
    const ref = await fixture.runner.submit(jobs.specOf('count.sh'));
    await eventually('the end on disk', () => readFile(fixture.folderOf(ref).exit).catch(() => undefined));
    await eventually(
      'Slurm to forget',
      async () =>
        (await cluster.command('squeue', '-h', '--states=all', '-o', '%i')).split('\n').every((id) => id !== idOf(ref)),
      60_000,
    );
    assert.equal((await fixture.anotherRunner().describe(ref)).state, 'succeeded');
    assert.deepEqual(
      await fixture.anotherRunner().submit(JSON.parse(await readFile(fixture.folderOf(ref).record, 'utf8')).spec),
      ref,
    );
  });

  it('a withdrawn name never runs, also when its submit comes later', async () => {
    const spec = jobs.specOf('count.sh');
    assert.equal(await fixture.runner.withdraw!(spec.name), undefined);
    const ref = await fixture.runner.submit(spec);
    assert.equal((await fixture.runner.describe(ref)).state, 'cancelled');
    assert.equal(await jobs.runs(ref), 0);
  });

  describe('slurmrestd', () => {
    it('is restarted: nothing is lost, a submit while it is away is safe to repeat', async () => {
      const rest = await setUpSlurm(cluster, 'rest');
      await writePrograms(rest.programsFolder);
      const own = jobsOf(rest);
      const ref = await rest.runner.submit(own.waiting());
      await own.run(ref, 1);
      await cluster.rest.stop();
      const next = own.specOf('count.sh');
      await assert.rejects(rest.runner.submit(next), ClusterUnavailable);
      assert.equal((await rest.runner.describe(ref)).state, 'running');
      cluster.rest.start();
      const second = await eventually('slurmrestd', () => rest.runner.submit(next).catch(() => undefined));
      await own.letGo(ref);
      for (const one of [ref, second]) assert.equal((await own.end(one)).state, 'succeeded');
      assert.equal(await own.runs(second), 1);
      const alive = (await rest.options.transport.queue()).filter((job) => phaseOf(job.states) === 'waiting');
      assert.deepEqual(alive, []);
    });
  });
});
