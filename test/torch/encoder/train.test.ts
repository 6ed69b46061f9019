import assert from 'node:assert/strict';
import { access, readdir, readFile, writeFile } from 'node:fs/promises';
import * as ort from 'onnxruntime-node';
import { feedsOf } from '../../../src/onnx/encoder/embed.ts';
import { openEncoder } from '../../../src/onnx/encoder/folder.ts';
import { type Effect, EncoderJob, type Row, rowsOf, smallTraining } from '../../recipes/encoder/encoder-job.ts';

/** High rates, because the encoder is small and its weights are random. */
const lora = { ...smallTraining, mode: 'lora', schedule: 'constant', learningRate: '0.02' };

describe('encoder fine-tuning', function () {
  this.timeout(180_000); // five processes, one after the other
  const jobs: EncoderJob[] = [];
  async function jobWith(...given: Parameters<typeof EncoderJob.create>): Promise<EncoderJob> {
    const job = await EncoderJob.create(...given);
    jobs.push(job);
    return job;
  }
  afterEach(() => Promise.all(jobs.splice(0).map((job) => job.remove())));

  async function accuracyOn(rows: readonly Row[], job: EncoderJob): Promise<number> {
    const encoder = openEncoder(job.path('base'));
    const session = await ort.InferenceSession.create(job.path('model', 'model.onnx'), { intraOpNumThreads: 1 });
    const ids = rows.map(({ features }) => encoder.tokenizer.encode(features.text!));
    const { probabilities } = await session.run(feedsOf(ids, encoder.tokenizer.padTokenId));
    const values = probabilities!.data as Float32Array;
    const labels = JSON.parse(await readFile(job.path('model', 'labels.json'), 'utf8')) as string[];
    await session.release();
    encoder.close();
    return (
      rows.filter(({ label }, r) => labels[values[2 * r + 1]! > values[2 * r]! ? 1 : 0] === label).length / rows.length
    );
  }

  const ways: [string, Record<string, string>][] = [
    ['LoRA', { ...lora, epochs: '15' }],
    ['everything', { ...lora, mode: 'full', epochs: '10', learningRate: '0.002' }],
    ['a head on frozen features', { ...lora, mode: 'head', epochs: '40' }],
  ];
  for (const [name, options] of ways)
    it(`learns 32 rows by heart: ${name}`, async () => {
      const rows = rowsOf(32);
      const job = await jobWith(rows);
      const end = await job.run(options);
      assert.equal(end.exitCode, 0, end.stderr);
      assert.equal(await accuracyOn(rows, job), 1);
      assert.equal((await job.metrics()).accuracy, 1);
      assert.equal(end.progress.at(-1)!.progress, 1);
    });

  it('falls to chance on labels that mean nothing', async () => {
    const random = (i: number): string => (Math.imul(i + 1, 0x9e3779b1) >>> 31 === 0 ? 'ham' : 'spam');
    const rows = rowsOf(160, random);
    const job = await jobWith(rows.slice(0, 80));
    const end = await job.run({ ...lora, epochs: '3' });
    assert.equal(end.exitCode, 0, end.stderr);
    const chance = await accuracyOn(rows.slice(80), job);
    assert.ok(chance > 0.3 && chance < 0.7, `accuracy ${chance}`);
  });

  it('killed with -9 at its effects and started again, ends with the bytes of an undisturbed run', async () => {
    const rows = rowsOf(48);
    const options = {
      ...lora,
      epochs: '4',
      dropout: '0.2',
      validation: '0.2',
      microBatchSize: '5',
      patience: '0',
      schedule: 'cosine',
    };
    const [undisturbed, killed] = [await jobWith(rows), await jobWith(rows)];
    const end = await undisturbed.run(options);
    assert.equal(end.exitCode, 0, end.stderr);
    // The first four renames are those of the engine's passing files.
    const kills: [Effect, number][] = [
      ['line', 3],
      ['sync', 5],
      ['rename', 7],
    ];
    for (const [atEffect, nth] of kills) {
      const death = await killed.run(options, { name: 'SIGKILL', atEffect, nth });
      assert.equal(death.signal, 'SIGKILL', `at ${atEffect}: ${death.stderr}`);
    }
    const last = await killed.run(options);
    assert.equal(last.exitCode, 0, last.stderr);
    assert.ok((await killed.metrics()).resumedFrom! > 5, 'the kills lost more than they may');
    assert.ok((await killed.model()).equals(await undisturbed.model()));
    const { resumedFrom: _, ...metrics } = await killed.metrics();
    const { resumedFrom: __, ...expected } = await undisturbed.metrics();
    assert.deepEqual(metrics, expected);
  });

  it('saves on SIGTERM, leaves with 143; refuses the checkpoint of another base, passes over a damaged one', async () => {
    const job = await jobWith(rowsOf(32));
    const options = { ...lora, epochs: '4' };
    const stopped = await job.run(options, { name: 'SIGTERM', atEffect: 'line', nth: 5 });
    assert.equal(stopped.exitCode, 143, stopped.stderr);
    await assert.rejects(access(job.path('output', 'failure')));
    const names = (await readdir(job.path('checkpoints'))).sort();
    assert.equal(names.length, 2);

    const foreign = await job.run({ ...options, baseRevision: 'another' });
    assert.equal(foreign.exitCode, 1);
    assert.match(await job.failure(), /^userError: .*another training: its baseRevision, hyperparameters differ/);
    assert.deepEqual((await readdir(job.path('checkpoints'))).sort(), names, 'something was lost');

    const newest = job.path('checkpoints', names[1]!);
    const bytes = await readFile(newest);
    bytes[bytes.length - 100]! ^= 1;
    await writeFile(newest, bytes);
    const end = await job.run(options);
    assert.equal(end.exitCode, 0, end.stderr);
    assert.match(end.stderr, /checkpointDamaged.*does not match its digest/);
    assert.equal((await job.metrics()).resumedFrom, stopped.progress.at(-1)!.step! - 1);
  });

  it('stops early when validation gets no better, and keeps the best weights', async () => {
    const rows = rowsOf(60);
    const job = await jobWith(rows);
    const end = await job.run({ ...lora, epochs: '50', learningRate: '0.05', validation: '0.3', patience: '1' });
    assert.equal(end.exitCode, 0, end.stderr);
    const { bestEpoch, bestLoss, waited, steps } = await job.metrics();
    const epochs = end.progress.filter(({ epoch }, i, all) => all[i + 1]?.epoch !== epoch);
    assert.equal(waited, 1);
    assert.equal(bestLoss, Math.min(...epochs.map(({ validationLoss }) => validationLoss!)));
    assert.equal(epochs.length, bestEpoch! + 1);
    assert.ok(steps! < 50 * 6);
  });

  it('a learning rate that explodes ends as diverged, without a model', async () => {
    const job = await jobWith(rowsOf(16));
    const end = await job.run({ ...lora, learningRate: '1e30' });
    assert.equal(end.exitCode, 1, end.stderr);
    assert.match(await job.failure(), /^diverged: the loss (is|exploded)/);
    await assert.rejects(access(job.path('model', 'model.onnx')));
  });
});
