import assert from 'node:assert/strict';
import { access, readdir, readFile } from 'node:fs/promises';
import { ModelSignature } from '../../../src/contracts/model.ts';
import { loadPredictor } from '../../../src/serving/predictor.ts';
import { jobsOfTests, type Row, rowsOf, smallTraining, type TrainingJob } from './training-job.ts';

describe('text classifier', function () {
  this.timeout(60_000);
  const jobWith = jobsOfTests();

  async function accuracyOn(rows: readonly Row[], job: TrainingJob): Promise<number> {
    const predictor = await loadPredictor(job.path('model'));
    const answers = await predictor.predict(rows.map((row) => row.features));
    await predictor.close();
    return rows.filter((row, r) => answers[r]!.label === row.label).length / rows.length;
  }

  it('learns 32 rows by heart and leaves a model that the endpoint can load', async () => {
    const rows = rowsOf(32);
    const job = await jobWith(rows);
    const end = await job.run({ ...smallTraining, epochs: '20' });
    assert.equal(end.exitCode, 0, end.stderr);
    assert.equal(await accuracyOn(rows, job), 1);
    assert.equal(end.progress.at(-1)!.progress, 1);
    assert.ok(end.progress.at(-1)!.loss! < end.progress[0]!.loss! / 4);
    const signature = ModelSignature.parse(JSON.parse(await readFile(job.path('model', 'signature.json'), 'utf8')));
    assert.deepEqual(signature.labels, ['false', 'true']);
    assert.equal((await job.metrics()).rows, 32);
  });

  it('falls to chance on labels that mean nothing, and not on those that do', async () => {
    const all = rowsOf(300);
    const unseen = all.slice(200);
    const random = (i: number) => String(Math.imul(i + 1, 0x9e3779b1) >>> 31 === 0);
    const taught = async (rows: Row[]) => {
      const job = await jobWith(rows.slice(0, 200));
      const end = await job.run({ ...smallTraining, epochs: '4' });
      assert.equal(end.exitCode, 0, end.stderr);
      return job;
    };
    assert.ok((await accuracyOn(unseen, await taught(all))) > 0.95);
    const shuffled = rowsOf(300, random);
    const chance = await accuracyOn(shuffled.slice(200), await taught(shuffled));
    assert.ok(chance > 0.3 && chance < 0.7, `accuracy ${chance}`);
  });

  it('ends with the same bytes whether rows come in one file or many, in whatever order', async () => {
    const rows = rowsOf(40);
    const lines = (some: readonly Row[]) => some.map((row) => `${JSON.stringify(row)}\n`).join('');
    const [one, many] = [
      await jobWith(rows),
      await jobWith({
        'b.jsonl': lines(rows.slice(0, 11)),
        'a.jsonl': lines(rows.slice(11).toReversed()),
        'x.txt': 'no',
      }),
    ];
    await one.run({ ...smallTraining, epochs: '2' });
    await many.run({ ...smallTraining, epochs: '2' });
    assert.ok((await one.model()).equals(await many.model()));
    const other = await jobWith(rows);
    await other.run({ ...smallTraining, epochs: '2', seed: '2' });
    assert.ok(!(await one.model()).equals(await other.model()));
  });

  it('saves on SIGTERM, leaves with 143, and goes on from there', async () => {
    const job = await jobWith(rowsOf(60));
    const options = { ...smallTraining, epochs: '15', checkpointSeconds: '3600' };
    const stopped = await job.run(options, { signal: { name: 'SIGTERM', atEffect: 'line', nth: 5 } });
    assert.equal(stopped.exitCode, 143, stopped.stderr);
    assert.equal((await readdir(job.path('checkpoints'))).length, 1);
    await assert.rejects(access(job.path('output', 'failure')));
    const end = await job.run(options);
    assert.equal(end.exitCode, 0);
    assert.equal((await job.metrics()).resumedFrom, stopped.progress.at(-1)!.step);
  });

  describe('with a base model', () => {
    it('starts from its weights', async () => {
      const rows = rowsOf(64);
      const first = await jobWith(rows.slice(0, 48));
      await first.run({ ...smallTraining, epochs: '8' });
      const second = await jobWith(rows);
      const end = await second.run({ ...smallTraining, warmEpochs: '1' }, { base: first.path('model') });
      assert.equal(end.exitCode, 0, end.stderr);
      assert.equal((await second.metrics()).warmStarted, 1);
      assert.ok((await second.metrics()).accuracy! > 0.9, 'knows its rows before it sees them again');
    });

    it('starts from scratch and says why when the base does not fit', async () => {
      const base = await jobWith(rowsOf(16));
      await base.run({ ...smallTraining, epochs: '1' });
      const job = await jobWith(rowsOf(16));
      for (const [change, reason] of [
        [{ buckets: '1000' }, /another preprocessing/],
        [{ hidden: '4' }, /hidden\.weight.*has shape/],
        [{ positive: 'false' }, /another labels/],
      ] as const) {
        const end = await job.run({ ...smallTraining, ...change, epochs: '1' }, { base: base.path('model') });
        assert.equal(end.exitCode, 0, end.stderr);
        assert.match(end.stderr, reason);
        assert.equal((await job.metrics()).warmStarted, 0);
      }
    });
  });

  describe('what cannot be trained', () => {
    const refused: [string, Row[], Record<string, string>, RegExp][] = [
      ['zero rows', [], {}, /^badData: no rows/],
      ['one class', rowsOf(8, () => 'true'), {}, /^badData: all 8 rows have label "true"/],
      ['an unknown hyperparameter', rowsOf(4), { epoch: '3' }, /^userError: .*epoch/s],
      ['a learning rate that explodes', rowsOf(16), { learningRate: '1e38' }, /^diverged: the loss is/],
    ];
    for (const [name, rows, hyperparameters, message] of refused)
      it(`ends with 1 and a failure file: ${name}`, async () => {
        const job = await jobWith(rows);
        const end = await job.run({ ...smallTraining, ...hyperparameters });
        assert.equal(end.exitCode, 1, end.stderr);
        assert.match(await job.failure(), message);
        await assert.rejects(access(job.path('model', 'model.onnx')));
      });
  });
});
