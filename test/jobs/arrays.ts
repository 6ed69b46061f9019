// biome-ignore-all lint/suspicious/noTemplateCurlyInString: places of a job spec are written so
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobRef, JobSpec, JobStatus } from '../../src/contracts/job.ts';
import type { RunnerFixture } from './conformance.ts';
import { eventually } from './eventually.ts';

/** What holds for arrays on every runner that has them. */
export function describeArrays(name: string, setUp: () => Promise<RunnerFixture>): void {
  describe(`arrays: ${name}`, () => {
    let fixture: RunnerFixture;
    before(async () => {
      fixture = await setUp();
    });
    after(() => fixture.stop());

    const array = (shell: string, tasks: string, atOnce: number, more: Partial<JobSpec> = {}): JobSpec => ({
      name: `arrays/${randomUUID()}/1`,
      program: ['sh', '-c', shell, 'task', '${task}', '${output}'],
      workingDirectory: fixture.programsFolder,
      environment: {},
      hyperparameters: {},
      channels: {},
      resources: { gpus: 0, cpus: 1, memoryBytes: 2 ** 28, timeLimitMs: 60_000 },
      progressTimeoutMs: 60_000,
      nice: 0,
      fillsIn: true,
      array: { tasks, atOnce },
      ...more,
    });
    const end = (ref: JobRef, withinMs = 40_000): Promise<JobStatus> =>
      eventually(
        `the end of ${ref.name}`,
        async () => {
          const status = await fixture.runner.describe(ref);
          return ['succeeded', 'failed', 'cancelled'].includes(status.state) && status;
        },
        withinMs,
      );
    const shared = async (): Promise<string> => {
      const folder = join(fixture.programsFolder, randomUUID());
      await mkdir(folder);
      return folder;
    };

    it('every task runs once with its number, and leaves its output under it', async () => {
      const folder = await shared();
      const digest = await fixture.put(Buffer.from('an input of all'));
      const spec = array(
        `echo run >> ${folder}/$1; cat "$SM_CHANNEL_DATA/in.txt" > "$2/out.txt"; printf " $SLURM_ARRAY_TASK_ID" >> "$2/out.txt"`,
        '0-3,7,20',
        2,
        { channels: { data: [{ path: 'in.txt', digest, sizeBytes: 15 }] }, leaves: ['out.txt'] },
      );
      const [ref, again] = [await fixture.runner.submit(spec), await fixture.anotherRunner().submit(spec)];
      assert.deepEqual(again, ref);
      const status = await end(ref);
      assert.equal(status.state, 'succeeded', status.reason);
      assert.deepEqual(status.tasks, { succeeded: 6 });
      const { dataDirectory } = await fixture.runner.outputs(ref);
      for (const task of [0, 1, 2, 3, 7, 20]) {
        assert.equal(await readFile(join(folder, String(task)), 'utf8'), 'run\n');
        assert.equal(await readFile(join(dataDirectory, String(task), 'out.txt'), 'utf8'), `an input of all ${task}`);
      }
      assert.equal((await fixture.anotherRunner().describe(ref)).state, 'succeeded');
    });

    it('no more tasks than the cap run at the same time', async () => {
      const folder = await shared();
      // Each task counts who runs beside it while it is there.
      const spec = array(
        `: > ${folder}/on-$1; ls ${folder} | grep -c on- > ${folder}/saw-$1; sleep 0.4; rm ${folder}/on-$1`,
        '0-4',
        2,
      );
      const status = await end(await fixture.runner.submit(spec));
      assert.equal(status.state, 'succeeded', status.reason);
      const seen = await Promise.all(
        [0, 1, 2, 3, 4].map(async (task) => Number(await readFile(join(folder, `saw-${task}`), 'utf8'))),
      );
      assert.ok(Math.max(...seen) <= 2, `saw ${seen.join(', ')} at once`);
    });

    it('says which tasks failed and why; the others are done', async () => {
      const spec = array('if [ $1 = 2 ]; then echo "no such strike" >&2; exit 3; fi; : > "$2/r"', '1-3', 3, {
        leaves: ['r'],
      });
      const ref = await fixture.runner.submit(spec);
      const status = await end(ref);
      assert.deepEqual([status.state, status.failureClass], ['failed', 'userError']);
      assert.match(status.reason!, /^1 of 3 tasks failed: userError 2\. Task 2: exit code 3: no such strike/);
      assert.deepEqual(
        (await fixture.runner.tasks!(ref)).map(({ task, state }) => [task, state]),
        [
          [1, 'succeeded'],
          [2, 'failed'],
          [3, 'succeeded'],
        ],
      );
      assert.deepEqual((await fixture.runner.logs(ref)).lines, ['no such strike']);
    });

    it('a cancel ends running tasks in good order, and tasks that wait never start', async () => {
      const folder = await shared();
      const spec = array(
        `: > ${folder}/$1; trap ': > ${folder}/saved-'$1'; exit 1' TERM; while :; do sleep 0.05; done`,
        '0-5',
        1,
      );
      const ref = await fixture.runner.submit(spec);
      await eventually('the first task', async () => {
        await fixture.runner.describe(ref);
        return readFile(join(folder, '0')).then(
          () => true,
          () => false,
        );
      });
      await fixture.runner.cancel(ref);
      const status = await end(ref);
      assert.deepEqual([status.state, status.tasks], ['cancelled', { cancelled: 6 }]);
      await readFile(join(folder, 'saved-0'));
      for (const task of [1, 2, 3, 4, 5]) await assert.rejects(readFile(join(folder, String(task))));
    });

    it('a program that another job built is run from its channel', async () => {
      const digest = await fixture.put(Buffer.from('#!/bin/sh\necho built > "$SM_OUTPUT_DATA_DIR/said"\n'));
      const spec = array('', '0-1', 2, {
        program: ['${channel.build}/tool'],
        channels: { build: [{ path: 'tool', digest, sizeBytes: 50 }] },
        leaves: ['said'],
      });
      const status = await end(await fixture.runner.submit(spec));
      assert.equal(status.state, 'succeeded', status.reason);
    });
  });
}
