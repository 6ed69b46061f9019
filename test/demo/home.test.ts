import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { endJobs, freshHome } from '../../src/client/cli/demo/home.ts';
import { Interrupt, Interrupted } from '../../src/client/cli/demo/interrupt.ts';
import { stateLayout } from '../../src/stack/layout.ts';
import { lockStack } from '../../src/stack/stack-lock.ts';
import { eventually } from '../jobs/eventually.ts';
import { type LocalFixture, setUpLocal } from '../jobs/local-fixture.ts';
import { argvOf, writePrograms } from '../jobs/programs.ts';
import { temporaryFolder } from '../store/samples.ts';

describe("The demo's own state folder", () => {
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;
  beforeEach(async () => {
    folder = await temporaryFolder();
  });
  afterEach(() => folder.remove());

  it('is empty at every start, whatever an earlier demo left in it', async () => {
    const path = join(folder.path, 'demo');
    const first = await freshHome(path);
    await writeFile(first.clockFile, 'left over');
    await mkdir(first.layout.store);
    first.release();
    const second = await freshHome(path);
    assert.deepEqual(await readdir(path), ['demo.json']);
    second.release();
  });

  it('is never a folder that somebody else filled', async () => {
    await writeFile(join(folder.path, 'thesis.tex'), 'years of work');
    await assert.rejects(freshHome(folder.path), { name: 'Refused', message: /was not made by a demo/ });
    assert.ok(existsSync(join(folder.path, 'thesis.tex')));
  });

  it('belongs to one demo at a time', async () => {
    const path = join(folder.path, 'demo');
    const first = await freshHome(path);
    await assert.rejects(freshHome(path), { name: 'Refused', message: /another demo runs in/ });
    first.release();
    (await freshHome(path)).release();
  });

  it('is left alone while a stack runs in it', async () => {
    const path = join(folder.path, 'demo');
    (await freshHome(path)).release();
    const up = lockStack(stateLayout(path));
    try {
      await assert.rejects(freshHome(path), { name: 'Refused', message: /runs a stack in .* goto3 down/ });
    } finally {
      up.release();
    }
    (await freshHome(path)).release();
  });
});

describe('Jobs that a stopped demo leaves', () => {
  let local: LocalFixture;
  before(async () => {
    local = await setUpLocal();
    await writePrograms(local.programsFolder);
  });
  after(() => local.stop());

  it('are asked to leave: the next `up` finds a checkpoint, and no process is left', async () => {
    const ref = await local.runner.submit({
      name: 'spam-filter/1/train/1',
      program: argvOf('save-on-term.sh'),
      workingDirectory: local.programsFolder,
      environment: {},
      hyperparameters: {},
      channels: {},
      resources: { gpus: 0, cpus: 1, memoryBytes: 2 ** 30, timeLimitMs: 60_000 },
      progressTimeoutMs: 60_000,
      nice: 0,
    });
    await eventually('progress', async () => (await local.runner.describe(ref)).progress !== undefined);
    await endJobs(local.options.jobsFolder);
    const status = await local.runner.describe(ref);
    assert.equal(status.failureClass, 'preempted');
    await stat(join(local.folderOf(ref).container.checkpoints, 'saved'));
    // Asked again there is nothing to do, and where no job ever ran neither.
    await endJobs(local.options.jobsFolder);
    await endJobs(join(local.options.jobsFolder, 'nowhere'));
  });
});

describe('Ctrl-C', () => {
  it('ends what is waited for at once; only a second one hurries the rest', async () => {
    const interrupt = new Interrupt();
    let hurried = 0;
    interrupt.onSecond = () => hurried++;
    try {
      assert.equal(await interrupt.orDone(Promise.resolve(7)), 7);
      const waiting = assert.rejects(interrupt.orDone(new Promise(() => {})), Interrupted);
      process.emit('SIGINT');
      await waiting;
      await interrupt.happened;
      assert.equal(hurried, 0);
      process.emit('SIGINT');
      assert.equal(hurried, 1);
      await assert.rejects(interrupt.orDone(new Promise(() => {})), Interrupted, 'also what comes later');
    } finally {
      interrupt.stopListening();
    }
    assert.equal(process.listenerCount('SIGINT'), 0);
  });
});
