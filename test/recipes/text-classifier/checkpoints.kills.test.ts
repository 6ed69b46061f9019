import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { effects, jobsOfTests, rowsOf, smallTraining, TrainingJob } from './training-job.ts';

describe('text classifier: checkpoints', function () {
  this.timeout(60_000);
  const jobWith = jobsOfTests();

  it('killed with -9 at any of its effects and started again, ends with the bytes of an undisturbed run', async () => {
    const rows = rowsOf(60);
    const options = { ...smallTraining, epochs: '4' };
    const [undisturbed, killed] = [await jobWith(rows), await jobWith(rows)];
    assert.equal((await undisturbed.run(options)).exitCode, 0);
    // Each run gets three steps or so further before it is killed, inside epochs and at their ends.
    for (const atEffect of effects) {
      const end = await killed.run(options, { signal: { name: 'SIGKILL', atEffect, nth: 4 } });
      assert.equal(end.signal, 'SIGKILL', `at ${atEffect}: ${end.stderr}`);
    }
    const last = await killed.run(options);
    assert.equal(last.exitCode, 0, last.stderr);
    assert.ok((await killed.metrics()).resumedFrom! > 8, 'the kills lost more than they may');
    assert.ok((await killed.model()).equals(await undisturbed.model()));
    const { resumedFrom: _, ...metrics } = await killed.metrics();
    const { resumedFrom: __, ...expected } = await undisturbed.metrics();
    assert.deepEqual(metrics, expected);
  });

  const options = { ...smallTraining, epochs: '3' };
  const checkpointSteps = 12;
  let expected: Buffer;
  before(async () => {
    const job = await TrainingJob.create(rowsOf(32));
    await job.run(options);
    expected = await job.model();
    await job.remove();
  });
  /** A job that left its last two checkpoints; the newest is of the last step. */
  async function finished(): Promise<{ job: TrainingJob; older: string; newest: string }> {
    const job = await jobWith(rowsOf(32));
    await job.run(options);
    const [older, newest] = await checkpointsOf(job);
    assert.ok(older && newest);
    return { job, older, newest };
  }

  const damages: [string, (bytes: Buffer) => Buffer, RegExp][] = [
    ['truncated', (bytes) => bytes.subarray(0, bytes.length / 2), /do not match/],
    ['empty', () => Buffer.alloc(0), /truncated/],
    [
      'with one flipped bit',
      (bytes) => {
        const copy = Buffer.from(bytes);
        copy[bytes.length - 100]! ^= 1;
        return copy;
      },
      /do not match/,
    ],
  ];
  for (const [name, damage, reason] of damages)
    it(`falls back to the one before when the newest is ${name}`, async () => {
      const { job, newest } = await finished();
      await writeFile(newest, damage(await readFile(newest)));
      const end = await job.run(options);
      assert.equal(end.exitCode, 0, end.stderr);
      assert.match(end.stderr, /checkpointIgnored/);
      assert.match(end.stderr, reason);
      assert.equal((await job.metrics()).resumedFrom, checkpointSteps - 1);
      assert.ok((await job.model()).equals(expected));
    });

  it('never uses those of other rows, other hyperparameters or another base', async () => {
    const { job } = await finished();
    const end = await job.run({ ...options, learningRate: '0.01' });
    assert.match(end.stderr, /other data, hyperparameters or base/);
    assert.equal((await job.metrics()).resumedFrom, 0);
    await writeFile(job.path('train', 'more.jsonl'), JSON.stringify({ ...rowsOf(1)[0]!, id: 'new' }));
    await job.run({ ...options, learningRate: '0.01' });
    assert.equal((await job.metrics()).resumedFrom, 0);
  });

  it('resumes however often it reports and saves', async () => {
    const { job } = await finished();
    await job.run({ ...options, progressSeconds: '9', checkpointSeconds: '9' });
    assert.equal((await job.metrics()).resumedFrom, checkpointSteps);
    assert.ok((await job.model()).equals(expected));
  });
});

async function checkpointsOf(job: TrainingJob): Promise<string[]> {
  return (await readdir(job.path('checkpoints'))).sort().map((name) => job.path('checkpoints', name));
}
