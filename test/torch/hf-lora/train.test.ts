import assert from 'node:assert/strict';
import { access, readdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import * as ort from 'onnxruntime-node';
import { parseHyperparameters } from '../../../recipes/encoder/hyperparameters.ts';
import { fetchMiniLm } from '../../../scripts/fetch-minilm.ts';
import { feedsOf } from '../../../src/onnx/encoder/embed.ts';
import { openEncoder } from '../../../src/onnx/encoder/folder.ts';
import { type Row, rowsOf, smallTraining } from '../../recipes/encoder/encoder-job.ts';
import { type Effect, runPython, TorchJob } from './torch-job.ts';

/** High rates, because the encoder is small and its weights are random. */
const lora = { ...smallTraining, mode: 'lora', schedule: 'constant', learningRate: '0.02' };

describe('hf-lora', function () {
  this.timeout(300_000); // a process takes five seconds to load PyTorch, on an idle machine
  const jobs: TorchJob[] = [];
  async function jobWith(...given: Parameters<typeof TorchJob.create>): Promise<TorchJob> {
    const job = await TorchJob.create(...given);
    jobs.push(job);
    return job;
  }
  afterEach(() => Promise.all(jobs.splice(0).map((job) => job.remove())));

  /** What the served model says in onnxruntime, all rows in one padded batch, and the token ids it was asked. */
  async function served(rows: readonly Row[], job: TorchJob) {
    const encoder = openEncoder(job.path('base'));
    const session = await ort.InferenceSession.create(job.path('model', 'model.onnx'), { intraOpNumThreads: 1 });
    const ids = rows.map(({ features }) => encoder.tokenizer.encode(features.text!));
    const { probabilities } = await session.run(feedsOf(ids, encoder.tokenizer.padTokenId));
    const values = probabilities!.data as Float32Array;
    const labels = JSON.parse(await readFile(job.path('model', 'labels.json'), 'utf8')) as string[];
    await session.release();
    encoder.close();
    const answers = rows.map((_, r) => [...values.subarray(2 * r, 2 * r + 2)]);
    const right = rows.filter(({ label }, r) => labels[answers[r]![1]! > answers[r]![0]! ? 1 : 0] === label);
    return { ids, answers, accuracy: right.length / rows.length };
  }

  /** Of a model that knows its rows by heart, probabilities say little: they are 0 or 1. */
  const logOdds = (answers: readonly number[][]): number[][] => answers.map(([no, yes]) => [Math.log(yes! / no!)]);

  const farthest = (a: readonly number[][], b: readonly number[][]): number =>
    Math.max(...a.flatMap((row, r) => row.map((value, c) => Math.abs(value - b[r]![c]!))));

  const ways: [string, Record<string, string>, () => Promise<string | undefined>][] = [
    ['LoRA on a tiny BERT', { ...lora, epochs: '15' }, async () => undefined],
    [
      'all weights of a tiny BERT',
      { ...lora, mode: 'full', epochs: '10', learningRate: '0.002' },
      async () => undefined,
    ],
    ['LoRA on MiniLM', { ...lora, epochs: '5', learningRate: '0.005', maxTokens: '16' }, fetchMiniLm],
  ];
  for (const [name, options, base] of ways)
    it(`learns rows by heart, and its ONNX says what PyTorch says: ${name}`, async () => {
      const rows = rowsOf(16);
      const job = await jobWith(rows, await base());
      const end = await job.run(options);
      assert.equal(end.exitCode, 0, end.stderr);
      const { ids, answers, accuracy } = await served(rows, job);
      assert.equal(accuracy, 1);
      assert.equal((await job.metrics()).accuracy, 1);
      assert.equal(end.progress.at(-1)!.progress, 1);
      const newest = (await readdir(job.path('checkpoints'))).sort().at(-1)!;
      const checkpoint = options.mode === 'full' ? job.path('checkpoints', newest) : '-';
      const judged = await job.judge(ids, checkpoint);
      const difference = farthest(answers, judged);
      const inLogits = farthest(logOdds(answers), logOdds(judged));
      console.log(`      probabilities differ by ${difference}, log odds by ${inLogits}`);
      assert.ok(difference < 1e-4, `probabilities differ by ${difference}`);
      assert.ok(inLogits < 1e-3, `log odds differ by ${inLogits}`);
      if (options.mode === 'lora') {
        const text = await readFile(job.path('model', 'adapter', 'adapter_config.json'), 'utf8');
        assert.ok(!text.includes(job.folder), "the adapter names this machine's folders");
      }
      assert.ok(!(await readFile(job.path('model', 'model.onnx'))).includes('site-packages'), 'stack traces go out');
    });

  it('killed with -9 at its effects and started again, ends with the bytes of an undisturbed run', async () => {
    const rows = rowsOf(40);
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
    const kills: [Effect, number][] = [
      ['write', 4],
      ['rename', 4],
      ['rm', 3],
    ];
    for (const [atEffect, nth] of kills) {
      const death = await killed.run(options, { name: 'SIGKILL', atEffect, nth });
      assert.equal(death.signal, 'SIGKILL', `at ${atEffect}: ${death.stderr}`);
    }
    const last = await killed.run(options);
    assert.equal(last.exitCode, 0, last.stderr);
    assert.ok((await killed.metrics()).resumedFrom! > 6, 'the kills lost more than they may');
    for (const file of ['model.onnx', 'adapter/adapter_model.safetensors', 'adapter/head.safetensors']) {
      const [theirs, ours] = await Promise.all([undisturbed, killed].map((job) => readFile(job.path('model', file))));
      assert.ok(theirs!.equals(ours!), file);
    }
    const { resumedFrom: _, ...metrics } = await killed.metrics();
    const { resumedFrom: __, ...expected } = await undisturbed.metrics();
    assert.deepEqual(metrics, expected);
    const left = await readdir(killed.path('checkpoints'));
    assert.equal(left.length, 2, `${left.join(', ')}: a killed run left something behind`);
  });

  it('saves on SIGTERM, leaves with 143; refuses the checkpoint of another base, passes over a damaged one', async () => {
    const job = await jobWith(rowsOf(32));
    const options = { ...lora, epochs: '4' };
    const stopped = await job.run(
      { ...options, checkpointSeconds: '1000' },
      { name: 'SIGTERM', atEffect: 'line', nth: 5 },
    );
    assert.equal(stopped.exitCode, 143, stopped.stderr);
    await assert.rejects(access(job.path('output', 'failure')));
    await assert.rejects(access(job.path('model', 'model.onnx')));
    const kept = await readdir(job.path('checkpoints'));
    assert.equal(kept.length, 1, 'only SIGTERM saves here');

    const foreign = await job.run({ ...options, baseRevision: 'another' });
    assert.equal(foreign.exitCode, 1);
    assert.match(await job.failure(), /^userError: .*another training: its baseRevision, hyperparameters differ/);
    assert.deepEqual(await readdir(job.path('checkpoints')), kept, 'something was lost');

    const again = await job.run(options, { name: 'SIGTERM', atEffect: 'line', nth: 2 });
    assert.equal(again.exitCode, 143, again.stderr);
    assert.equal(again.progress[0]!.step, stopped.progress.at(-1)!.step! + 1);
    const names = (await readdir(job.path('checkpoints'))).sort();
    assert.equal(names.length, 2);
    const newest = job.path('checkpoints', names[1]!);
    const bytes = await readFile(newest);
    bytes[bytes.length - 100]! ^= 1;
    await writeFile(newest, bytes);
    const end = await job.run(options, { name: 'SIGTERM', atEffect: 'line', nth: 1 });
    assert.match(end.stderr, /checkpointDamaged.*does not match its digest/);
    assert.equal(end.progress[0]!.step, again.progress.at(-1)!.step!, 'it went on from the one before');
  });

  const refused: [string, Record<string, string>, RegExp, (readonly Row[])?][] = [
    ['a hyperparameter that nobody knows', { epoch: '3' }, /^userError: hyperparameters: "epoch" is no/],
    ['a value that is a command', { rank: '$(x)' }, /^userError: hyperparameters: "rank": expected a whole number/],
    ['a name that belongs to no data', { __proto__x: '1' }, /^userError: hyperparameters: "__proto__x" is no/],
    ['rows of one class', lora, /^badData: all 4 rows have label "ham"/, rowsOf(4, () => 'ham')],
    ['labels outside the classes', { classes: 'ham,eggs' }, /^badData: 8 of 16 rows have a label outside ham, eggs/],
    ['layers that the base does not have', { targets: 'q_lin' }, /^userError: lora: .*"q_lin"; there are dense, key/],
    ['a rate that explodes', { ...lora, learningRate: '1e30' }, /^diverged: the loss (is|exploded)/],
  ];
  for (const [name, options, message, rows = rowsOf(16)] of refused)
    it(`refuses ${name}`, async () => {
      const job = await jobWith(rows);
      const end = await job.run(options);
      assert.equal(end.exitCode, 1, end.stderr);
      assert.match(await job.failure(), message);
      await assert.rejects(access(job.path('model', 'model.onnx')));
    });

  it('refuses a base of another family', async () => {
    const job = await jobWith(rowsOf(4));
    await writeFile(job.path('base', 'config.json'), JSON.stringify({ model_type: 'llama' }));
    assert.equal((await job.run({})).exitCode, 1);
    assert.match(await job.failure(), /^userError: base: model_type "llama" is not supported/);
  });

  it('halves the rows at once when memory ends, and the gradients stay what they were', async () => {
    const recipe = fileURLToPath(new URL('../../../recipes/hf-lora', import.meta.url));
    const { exitCode, stdout, stderr } = await runPython(
      [fileURLToPath(new URL('./memory.py', import.meta.url)), recipe],
      {},
    );
    assert.equal(exitCode, 0, stderr);
    const { whole, halved, microBatchSize, difference, norm, failure, inBfloat16 } = JSON.parse(stdout.at(-1)!) as {
      whole: [number, number];
      halved: [number, number];
      microBatchSize: number;
      difference: number;
      norm: number;
      inBfloat16: number;
      failure: string;
    };
    assert.match(stderr, /microBatchHalved/);
    assert.equal(microBatchSize, 3);
    assert.ok(Math.abs(whole[0] - halved[0]) < 1e-5 && whole[1] === halved[1]);
    assert.ok(norm > 1e-3 && difference < 1e-6, `gradients of norm ${norm} differ by ${difference}`);
    assert.ok(inBfloat16 > 1e-5 && inBfloat16 < 0.05, `bfloat16 is ${inBfloat16} away`);
    assert.match(failure, /^userError: one row at a time does not fit/);
  });

  it("has the Node recipe's hyperparameters and defaults, and two of its own", async () => {
    const { mode: _, ...ours } = JSON.parse(JSON.stringify(parseHyperparameters({}))) as Record<string, unknown>;
    const recipe = fileURLToPath(new URL('../../../recipes/hf-lora', import.meta.url));
    const program = `import json, sys; sys.path.insert(0, ${JSON.stringify(recipe)})
from hyperparameters import parse_hyperparameters
print(json.dumps({n: v for n, v in parse_hyperparameters({}).values.items() if v is not None}))`;
    const { stdout, stderr } = await runPython(['-c', program], {});
    assert.equal(stderr, '');
    const { mode, device, precision, ...theirs } = JSON.parse(stdout[0]!) as Record<string, unknown>;
    assert.deepEqual([mode, device, precision], ['lora', 'auto', 'auto']);
    assert.deepEqual(theirs, ours);
  });

  it('pins the packages that the tests run with', async () => {
    const [recipe, tests] = await Promise.all(
      ['recipes/hf-lora', 'test/torch'].map((folder) =>
        readFile(new URL(`../../../${folder}/requirements.txt`, import.meta.url), 'utf8'),
      ),
    );
    assert.equal(recipe, tests);
  });
});
