import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { JobSpec } from '../../src/contracts/job.ts';
import { ArrayStates } from '../../src/jobs/array/array-states.ts';
import { makeTaskFolder, taskFolderOf } from '../../src/jobs/array/task-folder.ts';
import { jobFolderOf } from '../../src/jobs/local/job-folder.ts';

describe('tasks of an array', () => {
  it('that the cluster refused have all failed for its reason, and nobody asks the cluster again', async () => {
    const jobs = await mkdtemp(join(tmpdir(), 'goto3-array-'));
    try {
      const folder = jobFolderOf(jobs, 'workload/wide/k/all/1');
      await mkdir(folder.path, { recursive: true });
      const end = { failureClass: 'userError', reason: 'Slurm does not take the job', endedAt: '2026-07-01T10:00:00Z' };
      await writeFile(folder.exit, JSON.stringify({ state: 'failed', ...end }));
      const done = taskFolderOf(folder, 1);
      await makeTaskFolder(done);
      await writeFile(done.exit, JSON.stringify({ state: 'succeeded', exitCode: 0, endedAt: '2026-07-01T09:00:00Z' }));
      const silent = async (): Promise<never> => assert.fail('the cluster was asked');
      const spec = { array: { tasks: '0-2', atOnce: 3 } } as JobSpec;
      const tasks = await new ArrayStates().tasks(folder, spec, { started: silent, unstarted: silent });
      assert.deepEqual(
        tasks.map(({ task, state, failureClass }) => [task, state, failureClass]),
        [
          [0, 'failed', 'userError'],
          [1, 'succeeded', undefined],
          [2, 'failed', 'userError'],
        ],
      );
    } finally {
      await rm(jobs, { recursive: true });
    }
  });
});
