import assert from 'node:assert/strict';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobRef, JobSpec } from '../../src/contracts/job.ts';
import { preemptJobs } from '../../src/jobs/local/preempt.ts';
import { eventually } from './eventually.ts';
import { type LocalFixture, setUpLocal } from './local-fixture.ts';
import { argvOf, type ProgramName, writePrograms } from './programs.ts';

describe('jobs of a machine that stops', () => {
  let fixture: LocalFixture;
  beforeEach(async () => {
    fixture = await setUpLocal();
    await writePrograms(fixture.programsFolder);
  });
  afterEach(() => fixture.stop());

  const specOf = (name: string, program: ProgramName): JobSpec => ({
    name,
    program: argvOf(program),
    workingDirectory: fixture.programsFolder,
    environment: {},
    hyperparameters: {},
    channels: {},
    resources: { ...fixture.scarce, gpus: 0 },
    progressTimeoutMs: 60_000,
    nice: 0,
  });
  const running = async (name: string, program: ProgramName): Promise<JobRef> => {
    const ref = await fixture.runner.submit(specOf(name, program));
    await fixture.programOf(ref);
    return ref;
  };

  it('are asked to save, and end as preempted; those that have ended are left alone', async () => {
    const ended = await fixture.runner.submit(specOf('ended', 'count.sh'));
    await eventually('it ends', async () => (await fixture.runner.describe(ended)).state === 'succeeded');
    const ref = await running('saves', 'save-on-term.sh');
    const { container } = fixture.folderOf(ref);
    await eventually('it runs', () => access(join(container.checkpoints, 'runs')).then(() => true));
    assert.equal(await preemptJobs(fixture.options.jobsFolder, 'host-a', new AbortController().signal), 1);
    const { state, failureClass } = await fixture.runner.describe(ref);
    assert.deepEqual([state, failureClass], ['failed', 'preempted']);
    await access(join(container.checkpoints, 'saved'));
    assert.equal((await fixture.runner.describe(ended)).state, 'succeeded');
  });

  it('die at once when somebody is in a hurry', async () => {
    const ref = await running('hangs', 'hang.sh');
    assert.equal(await preemptJobs(fixture.options.jobsFolder, 'host-a', AbortSignal.abort()), 1);
    const { state, failureClass } = await fixture.runner.describe(ref);
    assert.deepEqual([state, failureClass], ['failed', 'infrastructure']);
  });

  it('of another machine, or where there are none, are nobody of ours', async () => {
    const ref = await running('elsewhere', 'hang.sh');
    assert.equal(await preemptJobs(fixture.options.jobsFolder, 'host-b', new AbortController().signal), 0);
    assert.equal(await preemptJobs('/no/such/folder', 'host-a', new AbortController().signal), 0);
    assert.equal((await fixture.runner.describe(ref)).state, 'running');
  });
});
