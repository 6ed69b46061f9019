import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as ort from 'onnxruntime-node';
import { classifierLoss, headNames, trainingNames } from '../../../recipes/encoder/graphs.ts';
import { fetchMiniLm } from '../../../scripts/fetch-minilm.ts';
import { buildEncoder, encoderOutputs } from '../../../src/onnx/encoder/build.ts';
import { feedsOf } from '../../../src/onnx/encoder/embed.ts';
import { openEncoder } from '../../../src/onnx/encoder/folder.ts';
import { writeSafetensors } from '../../../src/onnx/safetensors/write.ts';
import { tensorOf } from '../../../src/onnx/tensor.ts';
import { adamWDefaults } from '../../../src/onnx/train/adamw.ts';
import { addAdapters, mergeAdapters } from '../../../src/onnx/train/lora.ts';
import { parametersOf } from '../../../src/onnx/train/parameters.ts';
import { writePeftAdapter } from '../../../src/onnx/train/peft.ts';
import { learningRateAt } from '../../../src/onnx/train/schedule.ts';
import { TrainingSession } from '../../../src/onnx/train/session.ts';
import { writeCheckpoint } from '../../onnx/encoder/checkpoints.ts';
import { randomFloats, seededRandom, withSession } from '../../onnx/run.ts';

/** A Python with the packages of test/torch/requirements.txt; `npm run test:torch` makes it. */
const python = process.env.GOTO3_TORCH_PYTHON;
const program = fileURLToPath(new URL('./train_curve.py', import.meta.url));
const steps = 50;
const lora = { rank: 4, alpha: 8, targets: ['query', 'value'] };
const maxGradientNorm = 1;
const weightDecay = 0.01;

interface Case {
  readonly name: string;
  readonly mode: 'lora' | 'full';
  readonly learningRate: number;
  readonly rows: number;
  readonly longest: number;
  base(folder: string): Promise<string>;
}

const tiny = async (folder: string): Promise<string> => {
  await writeCheckpoint(join(folder, 'base'), 'bert');
  return join(folder, 'base');
};
const cases: Case[] = [
  { name: 'LoRA on a tiny BERT', mode: 'lora', learningRate: 2e-2, rows: 8, longest: 16, base: tiny },
  { name: 'all weights of a tiny BERT', mode: 'full', learningRate: 2e-3, rows: 8, longest: 16, base: tiny },
  { name: 'LoRA on MiniLM', mode: 'lora', learningRate: 2e-3, rows: 4, longest: 12, base: fetchMiniLm },
  { name: 'all weights of MiniLM', mode: 'full', learningRate: 5e-5, rows: 2, longest: 8, base: fetchMiniLm },
];

describe('fifty training steps against PyTorch', function () {
  this.timeout(600_000);
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'training-curve-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  for (const task of cases)
    it(`${task.name}: the same losses and gradient norms`, async () => {
      assert.ok(python, 'GOTO3_TORCH_PYTHON: expected a Python with torch, transformers and peft');
      const base = await task.base(folder);
      const ours = await train(task, base, folder);
      const { stdout } = await promisify(execFile)(python, [program, folder], { maxBuffer: 2 ** 26 });
      const theirs = JSON.parse(stdout) as { losses: number[]; norms: number[]; adapted?: number[] };
      assert.equal(theirs.losses.length, steps);
      const worst = (a: readonly number[], b: readonly number[]): number =>
        Math.max(...a.map((value, i) => Math.abs(value - b[i]!) / Math.max(Math.abs(b[i]!), 1e-2)));
      const [losses, norms] = [worst(ours.losses, theirs.losses), worst(ours.norms, theirs.norms)];
      console.log(`      losses ${ours.losses[0]} … ${ours.losses.at(-1)}; differ by ${losses}, norms by ${norms}`);
      assert.ok(losses < 1e-3, `losses differ by ${losses}`);
      assert.ok(norms < 1e-2, `norms differ by ${norms}`);
      assert.ok(ours.losses.at(-1)! < ours.losses[0]! / 1.2, 'it learned nothing');
      if (task.mode === 'lora') assert.ok(worst(ours.adapted!, theirs.adapted!) < 1e-3, 'PEFT reads another adapter');
    });
});

async function train(task: Case, base: string, folder: string) {
  const { mode, rows, longest, learningRate } = task;
  const encoder = openEncoder(base);
  const { hiddenSize, vocabularySize, padTokenId } = encoder.config;
  const random = seededRandom(42);
  const head = { weight: randomFloats(hiddenSize * 2, random, 0.1), bias: new Float32Array(2) };
  const plain = classifierLoss(encoder, head, { classes: 2, pooling: 'mean' });
  const adapted = mode === 'lora' ? addAdapters(plain, lora, random) : undefined;
  const forward = adapted?.model ?? plain;
  const trainable =
    adapted === undefined
      ? plain.graph.initializers
          .filter(({ type, dims }) => type === 'float32' && dims.length > 0)
          .map(({ name }) => name)
      : [headNames.weight, headNames.bias, ...adapted.adapters.flatMap(({ a, b }) => [a, b])];
  const parameters = parametersOf(forward, trainable);
  const start = [...parameters].filter(([name]) => /classifier|lora/.test(name));
  await writeSafetensors(
    join(folder, 'start.safetensors'),
    start.map(([name, { dims, weight }]) => tensorOf(name, 'float32', dims, weight.slice())),
  );
  const session = await TrainingSession.create(forward, parameters, {
    loss: trainingNames.loss,
    trainable,
    threads: 1,
    adamW: { ...adamWDefaults, weightDecay },
  });
  const batches = [];
  const [losses, norms]: [number[], number[]] = [[], []];
  // Two batches, 25 times each: something to learn.
  const texts = Array.from({ length: 2 }, () =>
    Array.from({ length: rows }, () =>
      Array.from(
        { length: 3 + Math.floor(random() * (longest - 2)) },
        () => 5 + Math.floor(random() * (vocabularySize - 5)),
      ),
    ),
  );
  for (let step = 1; step <= steps; step++) {
    const ids = texts[step % texts.length]!;
    const labels = ids.map((_, row) => row % 2);
    const rate = learningRateAt(step, { shape: 'linear', learningRate, steps, warmupSteps: 3 });
    const targets = Float32Array.from({ length: rows * 2 }, (_, i) => Number(labels[i >> 1] === i % 2));
    const feeds = {
      ...feedsOf(ids, padTokenId),
      [trainingNames.targets]: new ort.Tensor('float32', targets, [rows, 2]),
      [trainingNames.rowWeights]: new ort.Tensor('float32', new Float32Array(rows).fill(1), [rows]),
      [trainingNames.dropoutMask]: new ort.Tensor('float32', new Float32Array(rows * hiddenSize).fill(1), [
        rows,
        hiddenSize,
      ]),
    };
    const { loss, gradientNorm } = await session.run([{ feeds, share: 1 }], {
      step,
      learningRate: rate,
      maxGradientNorm,
    });
    losses.push(loss);
    norms.push(gradientNorm);
    const width = Math.max(...ids.map((row) => row.length));
    const padded = ids.map((row) => [...row, ...new Array<number>(width - row.length).fill(padTokenId)]);
    const mask = ids.map((row) => Array.from({ length: width }, (_, i) => Number(i < row.length)));
    batches.push({ ids: padded, mask, labels, learningRate: rate });
  }
  await session.release();
  const weight = (name: string): Float32Array => parameters.get(name)!.weight;
  let first: number[] | undefined;
  if (adapted !== undefined) {
    await mkdir(join(folder, 'adapter'));
    await writePeftAdapter(join(folder, 'adapter'), adapted.adapters, lora, weight, {
      name: null,
      revision: null,
      prefix: '',
    });
    const merged = mergeAdapters(buildEncoder(encoder, { kind: 'tokens' }), adapted.adapters, lora, weight);
    const outputs = await withSession(merged, (run) => run(feedsOf(texts[1]!, padTokenId)));
    const states = outputs[encoderOutputs.tokens]!;
    const width = states.length / rows;
    first = Array.from({ length: rows * 8 }, (_, i) => states[Math.floor(i / 8) * width + (i % 8)]!);
  }
  encoder.close();
  const shared = { mode, base, ...lora, maxGradientNorm, weightDecay };
  await writeFile(join(folder, 'task.json'), JSON.stringify({ ...shared, batches }));
  return { losses, norms, adapted: first };
}
