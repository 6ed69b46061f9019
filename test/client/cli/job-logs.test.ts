import assert from 'node:assert/strict';
import { appendFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { printLogs } from '../../../src/client/cli/job-logs.ts';
import { localJobs } from '../../../src/client/cli/local-jobs.ts';
import { Output } from '../../../src/client/cli/output.ts';
import { Session } from '../../../src/client/cli/session.ts';
import { makeTaskFolder, taskFolderOf } from '../../../src/jobs/array/task-folder.ts';
import { type JobFolder, jobFolderOf } from '../../../src/jobs/local/job-folder.ts';
import { type Environment, readEnvironment } from '../../../src/stack/environment.ts';
import { stateLayout } from '../../../src/stack/layout.ts';
import { eventually } from '../../temporal.ts';

describe('logs of local jobs', () => {
  let home: string;
  let environment: Environment;
  let printed: string;

  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'goto3-cli-'));
    environment = readEnvironment({ GOTO3_HOME: home, PATH: process.env.PATH }, home);
    printed = '';
  });
  afterEach(async () => {
    await rm(home, { recursive: true, force: true, maxRetries: 5 });
  });

  const session = (json = false): Session => {
    const stream = new Writable({
      write(chunk, _encoding, done) {
        printed += String(chunk);
        done();
      },
    }) as unknown as NodeJS.WriteStream;
    return new Session(environment, new Output({ json, color: false, stdout: stream, stderr: stream }), {
      by: 'tester',
    });
  };
  /** A job's folder as the runner and its wrapper write it. */
  const job = async (name: string, submittedAt: string, tasks?: string): Promise<JobFolder> => {
    const folder = jobFolderOf(stateLayout(home).jobs, name);
    await mkdir(folder.logs, { recursive: true });
    const record = {
      specDigest: `sha256:${'a'.repeat(64)}`,
      submittedAt,
      spec: { name, resources: {}, ...(tasks && { array: { tasks, atOnce: 4 } }) },
    };
    await writeFile(folder.record, JSON.stringify(record));
    return folder;
  };
  const ends = async (folder: JobFolder): Promise<void> =>
    await writeFile(folder.exit, JSON.stringify({ state: 'succeeded', exitCode: 0, endedAt: '2026-07-01T10:00:00Z' }));

  it('are those of the newest attempt, or of the one that is named', async () => {
    for (const attempt of [2, 10, 9]) {
      const folder = await job(`spam/1/train/${attempt}`, `2026-07-01T10:${10 + attempt}:00Z`);
      await writeFile(folder.stdout, `attempt ${attempt}\n`);
      await ends(folder);
    }
    await job('spam-2/1/train/1', '2026-07-01T09:00:00Z');
    const jobs = localJobs(environment);
    assert.deepEqual(
      (await jobs.list('spam')).map(({ ref }) => ref.name),
      ['spam/1/train/2', 'spam/1/train/9', 'spam/1/train/10'],
    );
    await printLogs(session(), 'spam/1/train', { follow: false });
    assert.equal(printed, 'attempt 10\n');
    const { document } = await printLogs(session(true), 'spam/1/train/9', { follow: false });
    assert.deepEqual(document, { job: 'spam/1/train/9', state: 'succeeded', lines: ['attempt 9'] });
    assert.equal(printed, 'attempt 10\n');
    await assert.rejects(jobs.find('spam/2/train'), /no job spam\/2\/train on this machine; goto3 job list spam/);
    await assert.rejects(jobs.find('../../etc'), /expected <loop>\/<n>\/<step>/);
  });

  it("are those of a workload's job, and of one task of an array in the newest attempt that has it", async () => {
    const simulate = 'workload/prices/monday/simulate';
    for (const [attempt, tasks] of [
      ['1', [0, 1, 2]],
      ['2', [1]],
    ] as const) {
      const array = await job(`${simulate}/${attempt}`, `2026-07-01T10:0${attempt}:00Z`, tasks.join(','));
      for (const task of tasks) {
        const folder = taskFolderOf(array, task);
        await makeTaskFolder(folder);
        await writeFile(folder.stdout, `attempt ${attempt}, task ${task}\n`);
        if (task < 2) await ends(folder);
      }
      // Task 2 was lost with its host; the array has ended.
      await ends(array);
    }
    await job('workload/prices/tuesday/simulate/1', '2026-07-01T10:05:00Z');
    const jobs = localJobs(environment);
    assert.equal((await jobs.list('prices')).length, 3);
    assert.equal((await jobs.list('prices/monday')).length, 2);
    for (const [task, attempt] of [
      [0, 1],
      [1, 2],
      [2, 1],
    ] as const) {
      printed = '';
      const { document } = await printLogs(session(), 'prices/monday/simulate', { follow: true, task });
      assert.equal(printed, `attempt ${attempt}, task ${task}\n`);
      assert.deepEqual(document, { job: `${simulate}/${attempt}`, task, state: 'succeeded', lines: [] });
    }
    await assert.rejects(jobs.find('prices/monday/simulate', 3), /has no task 3: it has 0-2/);
    await assert.rejects(jobs.find('prices/monday/simulate/2', 0), /has no task 0: it has 1/);
    await assert.rejects(jobs.find('prices/tuesday/simulate', 0), /is no array/);
    await assert.rejects(jobs.find('prices/sunday/simulate'), /goto3 job list prices\/sunday shows/);
  });

  it('are followed to the end of the job, its last line without a line feed too', async () => {
    const folder = await job('spam/1/train/1', '2026-07-01T10:00:00Z');
    await writeFile(folder.stdout, 'one\n\u001b[2Jtwo');
    const following = printLogs(session(), 'spam/1/train', { follow: true });
    await eventually('the first line', async () => printed === 'one\n');
    await appendFile(folder.stdout, ' and more\nthree');
    await eventually('the second line', async () => printed === 'one\n\\x1b[2Jtwo and more\n');
    await ends(folder);
    const { document } = await following;
    assert.equal(printed, 'one\n\\x1b[2Jtwo and more\nthree\n');
    assert.deepEqual(document, { job: 'spam/1/train/1', state: 'succeeded', lines: [] });
  });
});
