import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Family, writeCheckpoint } from '../../onnx/encoder/checkpoints.ts';

const signalAtEffect = new URL('../text-classifier/signal-at-effect.mjs', import.meta.url).href;
const program = fileURLToPath(new URL('../../../recipes/encoder/train.ts', import.meta.url));

export interface Row {
  id: string;
  time: string;
  label: string;
  features: Record<string, string>;
}

/** Every step reported and saved, one thread, nothing left to chance. */
export const smallTraining = {
  batchSize: '8',
  dropout: '0',
  validation: '0',
  threads: '1',
  checkpointSeconds: '0',
  progressSeconds: '0',
};

/** Texts of two kinds that differ in some words; which ones follows from the row's number, so rows never change. */
export function rowsOf(count: number, labelOf: (i: number) => string = (i) => (i % 2 === 0 ? 'ham' : 'spam')): Row[] {
  const [even, odd] = [
    ['the', 'quick', 'brown'],
    ['fox', 'lazy', 'dog'],
  ];
  return Array.from({ length: count }, (_, i) => {
    const words = i % 2 === 0 ? even : odd;
    const pick = (n: number): string => words[(i * 7 + n * 5 + Math.floor(i / 9)) % words.length]!;
    const length = 3 + (i % 5);
    return {
      id: `row-${i}`,
      time: new Date(Date.UTC(2002, 6, 1, 0, i)).toISOString(),
      label: labelOf(i),
      features: { text: Array.from({ length }, (_, n) => pick(n)).join(' ') },
    };
  });
}

export type Effect = 'line' | 'open' | 'sync' | 'rename' | 'rm';

export interface TrainingEnd {
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  stderr: string;
  progress: Record<string, number>[];
}

/** One job folder under the container contract, with a small encoder as its base. */
export class EncoderJob {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(rows: readonly Row[], family: Family = 'bert'): Promise<EncoderJob> {
    const job = new EncoderJob(await mkdtemp(join(tmpdir(), 'encoder-training-')));
    await writeCheckpoint(job.path('base'), family);
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
    signal?: { name: NodeJS.Signals; atEffect: Effect; nth: number },
  ): Promise<TrainingEnd> {
    const preload = signal === undefined ? [] : ['--import', signalAtEffect];
    const child = spawn(process.execPath, ['--import', 'tsx', ...preload, program], {
      env: {
        PATH: process.env.PATH,
        SM_INPUT_DIR: this.path('none'),
        SM_CHANNEL_TRAIN: this.path('train'),
        SM_CHANNEL_BASE: this.path('base'),
        SM_HPS: JSON.stringify(hyperparameters),
        SM_MODEL_DIR: this.path('model'),
        SM_OUTPUT_DIR: this.path('output'),
        SM_OUTPUT_DATA_DIR: this.path('output', 'data'),
        SM_CHECKPOINT_DIR: this.path('checkpoints'),
        ...(signal && { SIGNAL: signal.name, SIGNAL_AT_EFFECT: `${signal.atEffect}:${signal.nth}` }),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const progress: Record<string, number>[] = [];
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    createInterface({ input: child.stdout }).on('line', (line) => {
      progress.push(JSON.parse(line) as Record<string, number>);
    });
    return new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (exitCode, signal) => resolve({ exitCode, signal, stderr, progress }));
    });
  }

  model(): Promise<Buffer> {
    return readFile(this.path('model', 'model.onnx'));
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
