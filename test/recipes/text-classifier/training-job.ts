import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const signalAtEffect = new URL('./signal-at-effect.mjs', import.meta.url).href;
const program = fileURLToPath(new URL('../../../recipes/text-classifier/train.ts', import.meta.url));

export interface Row {
  id: string;
  time: string;
  label: string;
  features: Record<string, string | number | boolean | null>;
}

/** Small enough for a test, large enough to learn: a table of 2,000 rows, every step reported and saved. */
export const smallTraining = {
  buckets: '2000',
  maxTokens: '64',
  dimensions: '8',
  hidden: '8',
  batchSize: '8',
  learningRate: '0.02',
  minRows: '1',
  progressSeconds: '0',
  checkpointSeconds: '0',
};

/** Two subjects with some words in common; word choice follows from the row's number, so rows never change. */
export function rowsOf(count: number, labelOf: (i: number) => string = (i) => (i % 2 === 0 ? 'false' : 'true')): Row[] {
  const good = ['kernel', 'patch', 'meeting', 'lunch', 'compile', 'thread', 'review', 'module'];
  const bad = ['winner', 'cash', 'offer', 'click', 'credit', 'guarantee', 'viagra', 'mortgage'];
  const common = ['the', 'please', 'today', 'new', 'you', 'list'];
  return Array.from({ length: count }, (_, i) => {
    const words = i % 2 === 0 ? good : bad;
    const pick = (from: string[], n: number) => from[(i * 7 + n * 5 + Math.floor(i / 9)) % from.length]!;
    return {
      id: `row-${i}`,
      time: new Date(Date.UTC(2002, 6, 1, 0, i)).toISOString(),
      label: labelOf(i),
      features: {
        subject: `${pick(common, 1)} ${pick(words, 2)} ${i}`,
        body: [3, 4, 5, 6].map((n) => `${pick(words, n)} ${pick(common, n)}`).join(' '),
      },
    };
  });
}

export const effects = ['line', 'open', 'write', 'sync', 'rename', 'rm'] as const;
export type Effect = (typeof effects)[number];

export interface TrainingEnd {
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  stderr: string;
  progress: Record<string, number>[];
}

/** One job folder under the container contract, in which the trainer can be started again and again. */
export class TrainingJob {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async create(rows: readonly unknown[] | Record<string, string>): Promise<TrainingJob> {
    const job = new TrainingJob(await mkdtemp(join(tmpdir(), 'training-')));
    await mkdir(job.path('train'));
    const files = Array.isArray(rows) ? { 'rows.jsonl': rows.map((row) => JSON.stringify(row)).join('\n') } : rows;
    for (const [name, text] of Object.entries(files as Record<string, string>))
      await writeFile(job.path('train', name), text);
    return job;
  }

  path(...parts: string[]): string {
    return join(this.folder, ...parts);
  }

  /** Runs the trainer to its end, or to the signal that it gets at one of its effects. */
  async run(
    hyperparameters: Readonly<Record<string, string>>,
    { base, signal }: { base?: string; signal?: { name: NodeJS.Signals; atEffect: Effect; nth: number } } = {},
  ): Promise<TrainingEnd> {
    const preload = signal === undefined ? [] : ['--import', signalAtEffect];
    const child = spawn(process.execPath, ['--import', 'tsx', ...preload, program], {
      env: {
        PATH: process.env.PATH,
        SM_INPUT_DIR: this.path('none'),
        SM_CHANNEL_TRAIN: this.path('train'),
        ...(base === undefined ? {} : { SM_CHANNEL_BASE: base }),
        SM_HPS: JSON.stringify(hyperparameters),
        SM_MODEL_DIR: this.path('model'),
        SM_OUTPUT_DIR: this.path('output'),
        SM_OUTPUT_DATA_DIR: this.path('output', 'data'),
        SM_CHECKPOINT_DIR: this.path('checkpoints'),
        ...(signal === undefined ? {} : { SIGNAL: signal.name, SIGNAL_AT_EFFECT: `${signal.atEffect}:${signal.nth}` }),
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

/** Call it inside `describe`: makes jobs that are gone after each test. */
export function jobsOfTests(): typeof TrainingJob.create {
  const jobs: TrainingJob[] = [];
  afterEach(() => Promise.all(jobs.splice(0).map((job) => job.remove())));
  return async (rows) => {
    const job = await TrainingJob.create(rows);
    jobs.push(job);
    return job;
  };
}
