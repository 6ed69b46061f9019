import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { writeCheckpoint } from '../../onnx/encoder/checkpoints.ts';
import type { Row } from '../../recipes/encoder/encoder-job.ts';

const program = fileURLToPath(new URL('../../../recipes/hf-lora/train.py', import.meta.url));
const signalAtEffect = fileURLToPath(new URL('./signal_at_effect.py', import.meta.url));
const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** A Python with the packages of test/torch/requirements.txt; `npm run test:torch` makes it. */
export function torchPython(): string {
  const python = process.env.GOTO3_TORCH_PYTHON;
  assert.ok(python, 'GOTO3_TORCH_PYTHON: expected a Python with the packages of test/torch/requirements.txt');
  return python;
}

export type Effect = 'line' | 'write' | 'sync' | 'rename' | 'rm';

export interface PythonEnd {
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  stdout: string[];
  stderr: string;
}

/** Runs a Python program to its end. */
export function runPython(argv: readonly string[], env: NodeJS.ProcessEnv, input = ''): Promise<PythonEnd> {
  const child = spawn(torchPython(), ['-B', ...argv], {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, OMP_NUM_THREADS: '1', ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const stdout: string[] = [];
  let stderr = '';
  child.stdin.end(input);
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  createInterface({ input: child.stdout }).on('line', (line) => stdout.push(line));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (exitCode, signal) => resolve({ exitCode, signal, stdout, stderr }));
  });
}

/** One job folder under the container contract; its base is a small BERT, or a copy of a folder. */
export class TorchJob {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(rows: readonly Row[], base?: string): Promise<TorchJob> {
    const job = new TorchJob(await mkdtemp(join(tmpdir(), 'torch-training-')));
    if (base === undefined) await writeCheckpoint(job.path('base'), 'bert');
    else await cp(base, job.path('base'), { recursive: true });
    await mkdir(job.path('train'));
    await writeFile(job.path('train', 'rows.jsonl'), rows.map((row) => JSON.stringify(row)).join('\n'));
    return job;
  }

  path(...parts: string[]): string {
    return join(this.folder, ...parts);
  }

  /** Runs the trainer to its end, or to the signal that it gets at one of its effects. */
  async run(
    hyperparameters: Readonly<Record<string, string>>,
    signal?: { name: 'SIGKILL' | 'SIGTERM'; atEffect: Effect; nth: number },
  ) {
    const end = await runPython([...(signal === undefined ? [] : [signalAtEffect]), program], {
      SM_INPUT_DIR: this.path('none'),
      SM_CHANNEL_TRAIN: this.path('train'),
      SM_CHANNEL_BASE: this.path('base'),
      SM_HPS: JSON.stringify(hyperparameters),
      SM_MODEL_DIR: this.path('model'),
      SM_OUTPUT_DIR: this.path('output'),
      SM_OUTPUT_DATA_DIR: this.path('output', 'data'),
      SM_CHECKPOINT_DIR: this.path('checkpoints'),
      ...(signal && {
        SIGNAL: String(constants.signals[signal.name]),
        SIGNAL_AT_EFFECT: `${signal.atEffect}:${signal.nth}`,
      }),
    });
    return { ...end, progress: end.stdout.map((line) => JSON.parse(line) as Record<string, number>) };
  }

  /** Probabilities by PyTorch from what the training left. @param checkpoint of a training of all weights */
  async judge(ids: readonly (readonly number[])[], checkpoint = '-'): Promise<number[][]> {
    const argv = [here('./judge.py'), this.path('base'), this.path('model'), checkpoint];
    const { exitCode, stdout, stderr } = await runPython(argv, { HF_HUB_OFFLINE: '1' }, JSON.stringify({ ids }));
    assert.equal(exitCode, 0, stderr);
    return JSON.parse(stdout.at(-1)!) as number[][];
  }

  failure(): Promise<string> {
    return readFile(this.path('output', 'failure'), 'utf8');
  }

  async metrics(): Promise<Record<string, number>> {
    return JSON.parse(await readFile(this.path('output', 'data', 'metrics.json'), 'utf8')) as Record<string, number>;
  }

  remove(): Promise<void> {
    return rm(this.folder, { recursive: true, force: true });
  }
}
