import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ActivityCancellationDetails } from '@temporalio/common';
import { MockActivityEnvironment } from '@temporalio/testing';
import { createJobActivities, type JobDeps } from '../../src/activities/job.ts';
import { FileList } from '../../src/activities/train.ts';
import type { AwaitedJob, JobActivities } from '../../src/contracts/activities.ts';
import { type JobRef, type JobResources, JobSpec } from '../../src/contracts/job.ts';
import { channelsFromBlobs } from '../../src/jobs/materialise.ts';
import { getJson, putJson } from '../../src/store/manifests.ts';
import { eventually } from '../jobs/eventually.ts';
import { type LocalFixture, setUpLocal } from '../jobs/local-fixture.ts';
import { argvOf, type ProgramName, writePrograms } from '../jobs/programs.ts';
import { failure, House, quiet, run } from './house.ts';

const resources: JobResources = { gpus: 0, cpus: 1, memoryBytes: 2 ** 29, timeLimitMs: 60_000 };

describe('job activities on the local runner', () => {
  let house: House;
  let local: LocalFixture;
  let jobs: JobActivities;
  let deps: JobDeps;
  before(async () => {
    house = await House.open();
    local = await setUpLocal();
    await writePrograms(local.programsFolder);
    const runner = local.runnerWith({ channels: channelsFromBlobs(house.store.blobs) });
    deps = {
      store: house.store,
      runners: { local: runner },
      runnerOfQueue: 'local',
      pollMs: 20,
      lostAfterMs: 10_000,
      isOpen: () => Promise.reject(new Error('no server to ask')),
    };
    jobs = createJobActivities(deps);
  });
  after(async () => {
    await local?.stop();
    await house?.close();
  });

  let names = 0;
  const specOf = async (program: ProgramName, changes: Partial<JobSpec> = {}) =>
    await putJson(house.store, JobSpec, {
      name: 'replaced',
      program: argvOf(program),
      workingDirectory: local.programsFolder,
      environment: {},
      hyperparameters: {},
      channels: {},
      resources,
      progressTimeoutMs: 60_000,
      nice: 0,
      ...changes,
    });
  const place = async (name: string, program: ProgramName, changes: Partial<JobSpec> = {}) => {
    const specDigest = await specOf(program, changes);
    const { spec } = await run(jobs.placeJob, { name, specDigest, resources, checkpoint: null });
    return { spec };
  };
  const submit = async (program: ProgramName, changes: Partial<JobSpec> = {}): Promise<JobRef> => {
    names += 1;
    const input = await place(`spam/${names}/train/1`, program, changes);
    const ref = await run(jobs.submitJob, input);
    assert.deepEqual(await run(jobs.submitJob, input), ref, 'a submit whose reply was lost finds its job');
    return ref;
  };
  const stateOf = async (ref: JobRef) => (await local.runner.describe(ref)).state;
  const runs = async (ref: JobRef): Promise<number> => {
    const file = join(local.folderOf(ref).container.checkpoints, 'runs');
    return (await readFile(file, 'utf8').catch(() => '')).split('\n').length - 1;
  };

  /** An attempt at `awaitJob` that has beaten while the job runs. */
  const watch = async (ref: JobRef, activities = jobs) => {
    const env = new MockActivityEnvironment({ heartbeatTimeoutMs: 300 }, { logger: quiet });
    const beats: unknown[] = [];
    env.on('heartbeat', (details: unknown) => beats.push(details));
    const ended = env.run(activities.awaitJob, { ref }) as Promise<AwaitedJob>;
    ended.catch(() => undefined);
    await eventually('the job runs and the watcher says so', () =>
      beats.some((details) => (details as { state?: string } | undefined)?.state === 'running'),
    );
    return { env, ended, beats };
  };

  it('submits, awaits and collects', async () => {
    const ref = await submit('count.sh');
    const ended = await run(jobs.awaitJob, { ref });
    assert.deepEqual([ended.state, ended.failureClass], ['succeeded', null]);
    const collected = await run(jobs.collectJob, { ref });
    const files = await getJson(house.store, FileList, collected.model!);
    assert.deepEqual(
      files.map(({ path }) => path),
      ['model.txt'],
    );
    assert.equal(collected.output, null);
    assert.deepEqual(await run(jobs.collectJob, { ref }), collected, 'twice is once');
    assert.equal(await runs(ref), 1);
  });

  it('beats with the last progress, and tells the class and the words of a failure', async () => {
    const ref = await submit('progress.sh');
    const { ended, beats } = await watch(ref);
    await eventually('progress is in the heartbeat', () => JSON.stringify(beats).includes('"loss":0.3'));
    await writeFile(join(local.folderOf(ref).container.checkpoints, 'go'), '');
    assert.equal((await ended).state, 'succeeded');
    assert.equal((await run(jobs.collectJob, { ref })).metrics.loss, 0.3);

    const failed = await run(jobs.awaitJob, { ref: await submit('fail.sh') });
    assert.deepEqual([failed.state, failed.failureClass], ['failed', 'userError']);
    assert.match(failed.reason, /exit code 3: .*epochs: expected a number/s);
  });

  it('a real cancel stops the job before the activity ends', async () => {
    const ref = await submit('save-on-term.sh');
    const { env, ended } = await watch(ref);
    env.cancel('CANCELLED', new ActivityCancellationDetails({ cancelRequested: true }));
    await assert.rejects(ended, /CANCELLED/);
    assert.equal(await stateOf(ref), 'cancelled');
    assert.equal(
      await readFile(join(local.folderOf(ref).container.checkpoints, 'saved'), 'utf8'),
      'saved\n',
      'the program had time to save',
    );
  });

  for (const [what, reason, details] of [
    ['a shutdown of the worker', 'WORKER_SHUTDOWN', { workerShutdown: true }],
    ['a time-out', 'TIMED_OUT', { timedOut: true }],
    ['a pause', 'PAUSED', { paused: true }],
    ['"not found" that nobody can explain', 'NOT_FOUND', { notFound: true }],
  ] as const)
    it(`${what} leaves the job running, and the next attempt goes on with it`, async () => {
      const ref = await submit('save-on-term.sh');
      const first = await watch(ref);
      first.env.cancel(reason, new ActivityCancellationDetails(details));
      await assert.rejects(first.ended);
      assert.equal(await stateOf(ref), 'running');

      const second = await watch(ref);
      second.env.cancel();
      await assert.rejects(second.ended);
      assert.equal(await runs(ref), 1);
    });

  it('"not found" stops the job of a closed workflow, never the one that the next attempt watches', async () => {
    let open = true;
    const asked: unknown[] = [];
    const isOpen: JobDeps['isOpen'] = async (workflow) => {
      asked.push(workflow);
      return open;
    };
    const watchers = createJobActivities({ ...deps, isOpen });
    const ref = await submit('save-on-term.sh');
    const stale = await watch(ref, watchers);
    stale.env.cancel('NOT_FOUND', new ActivityCancellationDetails({ notFound: true }));
    await assert.rejects(stale.ended);
    assert.equal(await stateOf(ref), 'running');

    open = false;
    const orphan = await watch(ref, watchers);
    orphan.env.cancel('NOT_FOUND', new ActivityCancellationDetails({ notFound: true }));
    await assert.rejects(orphan.ended);
    assert.equal(await stateOf(ref), 'cancelled');
    assert.deepEqual(asked[0], { workflowId: 'test', runId: '00000000-0000-0000-0000-000000000000' });
  });

  it('a worker that is asked to leave does not wait for the job', async () => {
    const leaving = new AbortController();
    const ref = await submit('save-on-term.sh');
    const { ended } = await watch(ref, createJobActivities({ ...deps, leaving: leaving.signal }));
    leaving.abort();
    await assert.rejects(ended, failure('NotYet', 'this worker leaves'));
    assert.equal(await stateOf(ref), 'running');
    await run(jobs.cancelJob, { ref });
    assert.equal(await stateOf(ref), 'cancelled');
  });

  it('cancelJob returns when the job is gone, and leaves an ended one as it is', async () => {
    const ref = await submit('count.sh');
    await run(jobs.awaitJob, { ref });
    await run(jobs.cancelJob, { ref });
    assert.equal(await stateOf(ref), 'succeeded');
  });

  it('hands the checkpoint of an attempt to the next one', async () => {
    const specDigest = await specOf('steps.mjs', { hyperparameters: { hangat: '3' } });
    const attempt = { specDigest, name: 'spam/90/train/1', resources, checkpoint: null };
    const first = await run(jobs.submitJob, await run(jobs.placeJob, attempt));
    await eventually('two steps are done', async () =>
      (await readFile(join(local.folderOf(first).container.checkpoints, 'step.json'), 'utf8').catch(() => '')).includes(
        '2',
      ),
    );
    await run(jobs.cancelJob, { ref: first });
    const { checkpoint } = await run(jobs.saveCheckpoint, { ref: first });
    assert.deepEqual(await run(jobs.saveCheckpoint, { ref: first }), { checkpoint }, 'twice is once');

    const onwards = await specOf('steps.mjs');
    const next = { specDigest: onwards, name: 'spam/90/train/2', resources, checkpoint };
    const second = await run(jobs.submitJob, await run(jobs.placeJob, next));
    assert.equal((await run(jobs.awaitJob, { ref: second })).state, 'succeeded');
    const { model } = await run(jobs.collectJob, { ref: second });
    const [file] = await getJson(house.store, FileList, model!);
    assert.equal(Buffer.from(await house.store.blobs.read(file!.digest)).toString(), '{"resumedAt":3}');

    const fresh = await submit('count.sh');
    await run(jobs.awaitJob, { ref: fresh });
    await run(jobs.collectJob, { ref: fresh });
  });

  it('surfaces a job that nobody knows anything about, and starts no other', async () => {
    const ref = await submit('save-on-term.sh');
    await local.claimOf(ref);
    const claim = join(local.folderOf(ref).path, 'claim-1.json');
    const ours = await readFile(claim, 'utf8');
    await writeFile(claim, JSON.stringify({ ...(JSON.parse(ours) as object), host: 'host-b', renewWithinMs: 60_000 }));
    const elsewhere = createJobActivities({
      ...deps,
      lostAfterMs: 200,
      runners: { local: local.runnerWith({ host: 'host-c' }) },
    });
    // The wrapper still renews; for the watcher to be in doubt its heartbeat has to stand still.
    const { pid } = await local.programOf(ref);
    const wrapper = (JSON.parse(ours) as { pid: number }).pid;
    process.kill(wrapper, 'SIGSTOP');
    try {
      const ended = await run(elsewhere.awaitJob, { ref });
      assert.deepEqual([ended.state, ended.failureClass], ['failed', 'lost']);
      assert.match(ended.reason, /nothing is known about the job any more: .*host-b/);
      process.kill(pid, 0);
    } finally {
      process.kill(wrapper, 'SIGCONT');
      await writeFile(claim, ours);
    }
    await run(jobs.cancelJob, { ref });
  });

  it('refuses another spec under the same name, and a runner that this worker has not', async () => {
    const ref = await submit('count.sh');
    const spec = await getJson(house.store, JobSpec, await specOf('hang.sh'));
    const other = await putJson(house.store, JobSpec, { ...spec, name: ref.name });
    await assert.rejects(run(jobs.submitJob, { spec: other }), failure('JobConflict', `job ${ref.name} exists`));
    await assert.rejects(
      run(jobs.awaitJob, { ref: { ...ref, runner: 'slurm' } }),
      failure('InvalidInput', 'this worker has no runner "slurm"'),
    );
  });

  it('places an attempt once: another worker and another life get the host and the resources of the first', async () => {
    const [a, b] = ['gpu@host-a', 'gpu@host-b'].map((hostQueue) => createJobActivities({ ...deps, hostQueue }));
    const specDigest = await specOf('count.sh');
    const attempt = { name: 'spam/91/train/1', specDigest, resources, checkpoint: null };
    const first = await run(a!.placeJob, attempt);
    assert.deepEqual(first, { spec: first.spec, queue: 'gpu@host-a', resources, isForeign: false });
    const bigger = { ...resources, memoryBytes: 2 ** 30 };
    assert.deepEqual(await run(b!.placeJob, { ...attempt, resources: bigger }), first);
    const placed = await getJson(house.store, JobSpec, first.spec);
    assert.deepEqual([placed.name, placed.resources], [attempt.name, resources]);

    const other = await run(b!.placeJob, { ...attempt, specDigest: await specOf('hang.sh') });
    assert.deepEqual(other, { ...first, isForeign: true });
    // A name that is no ref's name, as workloads have them; racing workers agree.
    const racing = { ...attempt, name: 'Workload/Simulate/1' };
    const [x, y] = await Promise.all([run(a!.placeJob, racing), run(b!.placeJob, racing)]);
    assert.deepEqual(x, y);
  });

  it('withdraws a job that runs, one that has not started, and one whose submit is still on its way', async () => {
    const running = await place('spam/92/train/1', 'save-on-term.sh');
    const ref = await run(jobs.submitJob, running);
    await eventually('it runs', async () => (await stateOf(ref)) === 'running');
    await run(jobs.withdrawJob, running);
    await run(jobs.withdrawJob, running);
    assert.equal(await stateOf(ref), 'cancelled');
    assert.equal(await runs(ref), 1);

    const late = await place('spam/93/train/1', 'save-on-term.sh');
    await run(jobs.withdrawJob, late);
    const found = await run(jobs.submitJob, late);
    assert.equal((await run(jobs.awaitJob, { ref: found })).state, 'cancelled');
    assert.equal(await runs(found), 0, 'its program never ran');

    const racing = await place('spam/94/train/1', 'save-on-term.sh');
    const [submitted] = await Promise.all([run(jobs.submitJob, racing), run(jobs.withdrawJob, racing)]);
    await run(jobs.withdrawJob, racing);
    assert.equal(await stateOf(submitted), 'cancelled');
  });
});
