import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { fetchMiniLm } from '../scripts/fetch-minilm.ts';
import { openEncoder } from '../src/onnx/encoder/folder.ts';
import { seededRandom } from '../test/onnx/run.ts';
import type { TrainResult, TrainTask } from './train-task.ts';

/**
 * `npm run bench:train`: fine-tuning of MiniLM in Node against PyTorch + PEFT: the same rows, batches, threads, one process
 * each, in turns. Rows are sentences of two made-up topics that share most of their words. `GOTO3_TORCH_PYTHON` names a
 * Python with the packages of test/torch/requirements.txt. The last line is one JSON object.
 * GOTO3_BENCH_REPEATS and GOTO3_BENCH_STEPS make a short form.
 */
const python = process.env.GOTO3_TORCH_PYTHON;
if (python === undefined) throw new Error('GOTO3_TORCH_PYTHON: expected a Python with torch, transformers and peft');
const repeats = Number(process.env.GOTO3_BENCH_REPEATS ?? 5);
const steps = Number(process.env.GOTO3_BENCH_STEPS ?? 30);
const batchSize = 16;
const threads = 2;
const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

const base = await fetchMiniLm();
const work = mkdtempSync(join(tmpdir(), 'bench-train-'));
const { ids, labels } = rows(batchSize * steps + 96);
const sides = {
  ours: (path: string) => run(process.execPath, ['--import', 'tsx', here('./train-task.ts'), path]),
  peer: (path: string) => run(python, [here('./train-peer/train_peer.py'), path]),
};
type Side = keyof typeof sides;
const samples: Record<TrainTask['mode'], Record<Side, TrainResult[]>> = {
  lora: { ours: [], peer: [] },
  head: { ours: [], peer: [] },
};
try {
  for (let repeat = 0; repeat < repeats; repeat++)
    for (const mode of ['lora', 'head'] as const)
      for (const side of repeat % 2 === 0 ? (['ours', 'peer'] as const) : (['peer', 'ours'] as const)) {
        const path = join(work, 'task.json');
        const cache = mkdtempSync(join(work, 'features-'));
        writeFileSync(path, JSON.stringify(taskOf(mode, repeat + 1, cache)));
        const result = await sides[side](path);
        samples[mode][side].push(result);
        const perSecond = (1 / median(result.stepSeconds)).toFixed(2);
        console.log(
          `${mode} ${side}: ${perSecond} steps/s, first step after ${result.firstStepSeconds.toFixed(2)} s, peak ${(result.peakBytes / 2 ** 20).toFixed(0)} MiB, accuracy ${result.accuracy.toFixed(3)}`,
        );
      }
} finally {
  rmSync(work, { recursive: true, force: true });
}

const of = (mode: TrainTask['mode'], side: Side, what: (result: TrainResult) => number): number =>
  median(samples[mode][side].map(what));
const ratio = (mode: TrainTask['mode'], what: (result: TrainResult) => number): number =>
  of(mode, 'ours', what) / of(mode, 'peer', what);
const stepsPerSecond = ({ stepSeconds }: TrainResult): number => 1 / median(stepSeconds.slice(1));
const accuracies = (side: Side): number[] => samples.lora[side].map(({ accuracy }) => accuracy);
const ratios = {
  loraStepsPerSecond: ratio('lora', stepsPerSecond),
  headStepsPerSecond: ratio('head', stepsPerSecond),
  loraCpuSeconds: ratio('lora', ({ cpuSeconds }) => cpuSeconds),
  firstStep: ratio('lora', ({ firstStepSeconds }) => firstStepSeconds),
  peakMemory: ratio('lora', ({ peakBytes }) => peakBytes),
};
const summary = (side: Side) => ({ lora: samples.lora[side], head: samples.head[side] });
console.log(
  JSON.stringify({
    bench: 'train',
    loadAverage: loadavg(),
    ours: summary('ours'),
    peers: { pytorch: summary('peer') },
    ratios,
    goals: {
      'LoRA: steps per second at least 0.9 of the peer': ratios.loraStepsPerSecond >= 0.9,
      'head on cached features: steps per second at least those of the peer': ratios.headStepsPerSecond >= 1,
      'command to first step in at most a fifth': ratios.firstStep <= 1 / 5,
      'peak memory at most a half': ratios.peakMemory <= 1 / 2,
      'accuracy within the spread of seeds': median(accuracies('ours')) >= Math.min(...accuracies('peer')),
    },
  }),
);

function taskOf(mode: TrainTask['mode'], seed: number, cache: string): TrainTask {
  const batches = Array.from({ length: steps }, (_, step) =>
    Array.from({ length: batchSize }, (_, i) => step * batchSize + i),
  );
  const test = Array.from({ length: 96 }, (_, i) => steps * batchSize + i);
  const learningRate = mode === 'lora' ? 1e-3 : 1e-2;
  return { mode, base, work: cache, ids, labels, batches, test, rank: 8, alpha: 16, learningRate, threads, seed };
}

/** Sentences of 15 to 40 words; a fifth of the words tells the topic. */
function rows(count: number): { ids: number[][]; labels: number[] } {
  const random = seededRandom(5);
  const topics = [
    'engine wheel brake garage diesel bumper clutch tyre',
    'oven flour butter recipe simmer garlic spoon pastry',
  ].map((text) => text.split(' '));
  const common =
    'the a of and to in was with very they then again some other people house day found where little'.split(' ');
  const pick = (words: readonly string[]): string => words[Math.floor(random() * words.length)]!;
  const encoder = openEncoder(base);
  const labels = Array.from({ length: count }, (_, i) => i % 2);
  const ids = labels.map((label) => {
    const length = 15 + Math.floor(random() * 26);
    const words = Array.from({ length }, () =>
      pick(random() < 0.2 ? topics[random() < 0.75 ? label : 1 - label]! : common),
    );
    return encoder.tokenizer.encode(words.join(' '));
  });
  encoder.close();
  return { ids, labels };
}

async function run(command: string, argv: readonly string[]): Promise<TrainResult> {
  const { stdout } = await promisify(execFile)(command, argv, { maxBuffer: 2 ** 26 });
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as TrainResult;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)]!;
}
