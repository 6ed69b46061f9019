import { readFileSync } from 'node:fs';
import * as ort from 'onnxruntime-node';
import { rowFeatures } from '../recipes/encoder/features.ts';
import { trainingNames } from '../recipes/encoder/graphs.ts';
import { parseHyperparameters } from '../recipes/encoder/hyperparameters.ts';
import { featureInputs, InputBuilder, tokenInputs } from '../recipes/encoder/inputs.ts';
import { setUp } from '../recipes/encoder/setup.ts';
import { openEncoder } from '../src/onnx/encoder/folder.ts';
import { adamWDefaults } from '../src/onnx/train/adamw.ts';
import { parametersOf } from '../src/onnx/train/parameters.ts';
import { TrainingSession } from '../src/onnx/train/session.ts';

/** Our side of bench/train.ts, in a process of its own: reads the task, prints one JSON line. */
const begunMs = Date.now() - process.uptime() * 1_000;

export interface TrainTask {
  readonly mode: 'lora' | 'head';
  readonly base: string;
  readonly work: string;
  readonly ids: readonly number[][];
  readonly labels: readonly number[];
  /** Rows of each step, and rows to score at the end. */
  readonly batches: readonly number[][];
  readonly test: readonly number[];
  readonly rank: number;
  readonly alpha: number;
  readonly learningRate: number;
  readonly threads: number;
  readonly seed: number;
}

export interface TrainResult {
  readonly firstStepSeconds: number;
  readonly stepSeconds: readonly number[];
  readonly cpuSeconds: number;
  readonly peakBytes: number;
  readonly accuracy: number;
  readonly versions: Readonly<Record<string, string>>;
}

const task = JSON.parse(readFileSync(process.argv[2]!, 'utf8')) as TrainTask;
const { mode, threads, seed, rank, alpha } = task;
const encoder = openEncoder(task.base);
const hyperparameters = parseHyperparameters({ mode, threads, seed, rank, alpha, dropout: 0 });
const { forward, trainable } = setUp(encoder, 2, hyperparameters);
const width = encoder.config.hiddenSize;
const rowInputs =
  mode === 'head'
    ? featureInputs(
        await rowFeatures({
          encoder,
          ids: task.ids.map((row) => [...row]),
          baseDigest: '',
          folder: task.work,
          threads,
        }),
        width,
      )
    : tokenInputs(task.ids, encoder.tokenizer.padTokenId);
const inputs = new InputBuilder(rowInputs, Int32Array.from(task.labels), {
  classes: 2,
  labelSmoothing: 0,
  classBalance: 0,
  hiddenSize: width,
  dropout: 0,
  seed,
});
const session = await TrainingSession.create(forward, parametersOf(forward, trainable), {
  loss: trainingNames.loss,
  report: [trainingNames.logits],
  trainable,
  threads,
  adamW: adamWDefaults,
});

const stepSeconds: number[] = [];
let firstStepSeconds = 0;
const cpuBefore = process.cpuUsage();
for (const [i, rows] of task.batches.entries()) {
  const start = performance.now();
  const feeds = inputs.build(Int32Array.from(rows));
  await session.run([{ feeds, share: 1 }], { step: i + 1, learningRate: task.learningRate, maxGradientNorm: 1 });
  stepSeconds.push((performance.now() - start) / 1_000);
  if (i === 0) firstStepSeconds = (Date.now() - begunMs) / 1_000;
}
const cpu = process.cpuUsage(cpuBefore);

let correct = 0;
for (let start = 0; start < task.test.length; start += 16) {
  const rows = Int32Array.from(task.test.slice(start, start + 16));
  const logits = (await session.evaluate(inputs.build(rows)))[trainingNames.logits]!;
  for (const [r, row] of rows.entries())
    if (Number(logits[2 * r + 1]! > logits[2 * r]!) === task.labels[row]) correct++;
}
const result: TrainResult = {
  firstStepSeconds,
  stepSeconds,
  cpuSeconds: (cpu.user + cpu.system) / 1e6,
  peakBytes: process.resourceUsage().maxRSS * 1_024,
  accuracy: correct / task.test.length,
  versions: { onnxruntime: ort.env.versions.node ?? '' },
};
console.log(JSON.stringify(result));
