import { appendFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { applyLoop } from '../../../src/client/apply.ts';
import { readLoopFile } from '../../../src/client/loop-file.ts';
import type { LoopFile } from '../../../src/contracts/loop-spec.ts';
import type { CycleReport } from '../../../src/contracts/manifests.ts';
import type { Sickness } from '../../serving/sick-models.ts';
import { eventually } from '../../temporal.ts';
import { pointRows, textRows } from './rows.ts';
import type { StackUnderFault } from './stack.ts';
import { readStarts, type TrainerStart } from './trainer-starts.ts';

const file = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const feed = file('../../e2e/feed.mjs');
const noteStart = new URL('../programs/note-start.mjs', import.meta.url).href;

/** What trains. */
export type Trainer =
  /** A line between two clouds: done in a second. */
  | { kind: 'quick' }
  /** The text classifier of the recipes, with checkpoints: long enough to be killed in the middle. */
  | { kind: 'resumable'; epochs: number }
  /** Quick; its models may be sick (programs/sick-trainer.ts). */
  | { kind: 'sick' }
  /** See programs/misbehave.ts. */
  | { kind: 'misbehaving'; how: 'hang' | 'flood' | 'fork' | 'noModel' | 'nanLoss'; progressTimeout?: string };

export interface LoopOptions {
  trainer?: Trainer;
  endpoint?: string;
  /** Registry name; the loop's by default. */
  model?: string;
  /** Merged into the rollout. */
  rollout?: Partial<Exclude<LoopFile['rollout'], 'none' | undefined>>;
  webhook?: boolean;
  rows?: number;
  /** Merged into the file last. */
  limits?: LoopFile['limits'];
}

/** What a loop needs of the stack that runs it: one machine's (StackUnderFault) or many's (test/scale-out). */
export type StackOfLoops = Pick<StackUnderFault, 'home' | 'goto3' | 'log'>;

/** A small real loop in a folder of its own below the home of a stack. */
export class LoopUnderFault {
  readonly name: string;
  readonly folder: string;
  private readonly stack: StackOfLoops;
  private delivered = 0;

  private constructor(stack: StackOfLoops, name: string) {
    this.stack = stack;
    this.name = name;
    this.folder = join(stack.home, 'loops', name);
  }

  static async write(stack: StackOfLoops, name: string, options: LoopOptions = {}): Promise<LoopUnderFault> {
    const loop = new LoopUnderFault(stack, name);
    const { trainer = { kind: 'quick' }, rows = 240 } = options;
    await mkdir(loop.folder, { recursive: true });
    await writeFile(join(loop.folder, 'loop.yaml'), stringify(loopFile(name, trainer, options)));
    await loop.append(trainer.kind === 'resumable' ? textRows(rows) : pointRows(0, rows));
    loop.delivered = rows;
    return loop;
  }

  /** As `goto3 apply` does it. */
  async apply(): Promise<void> {
    const content = await readLoopFile(join(this.folder, 'loop.yaml'));
    const { specDigest } = await applyLoop(this.stack.goto3, content, { by: 'ann', reason: 'fault test' });
    this.stack.log.commands.push({ kind: 'apply', loop: this.name, specDigest });
  }

  async append(rows: readonly object[]): Promise<void> {
    await appendFile(join(this.folder, 'rows.jsonl'), rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  }

  /** What the models that are trained from now on suffer from; undefined: nothing. */
  async sicken(how: Sickness | undefined): Promise<void> {
    const note = join(this.folder, 'sickness');
    await (how ? writeFile(note, how) : rm(note, { force: true }));
  }

  /** New rows of the points, and the signal that announces them. */
  async deliver(count: number): Promise<void> {
    await this.append(pointRows(this.delivered, count));
    this.delivered += count;
    await this.stack.goto3.loop(this.name).newData(count);
  }

  async report(n: number, timeoutMs = 120_000): Promise<CycleReport> {
    const cycle = this.stack.goto3.cycle(`${this.name}/${n}`);
    return await cycle.result({ timeoutMs }).catch(async (error: Error) => {
      const { stage, waitsFor } = await cycle.status().catch(() => ({ stage: 'unknown', waitsFor: 'unknown' }));
      throw new Error(`${error.message}: ${stage}, ${waitsFor}`, { cause: error });
    });
  }

  /** Every start of its trainer, as the trainer itself noted it. */
  async starts(): Promise<TrainerStart[]> {
    return await readStarts(this.folder);
  }

  async trains(attempt = 1): Promise<TrainerStart> {
    const started = async () => (await this.starts())[attempt - 1];
    return await eventually(`trainer of ${this.name} starts for the ${attempt}. time`, started, 60_000);
  }
}

function loopFile(name: string, trainer: Trainer, options: LoopOptions): LoopFile {
  const { endpoint, model = name, rollout, webhook, limits } = options;
  const isText = trainer.kind === 'resumable';
  return {
    apiVersion: 'goto3/v1',
    loop: name,
    model,
    data: {
      program: ['node', feed],
      env: { WAREHOUSE_TOKEN: { secret: 'warehouse' } },
      columns: { id: 'id', time: 'at', label: 'kind', features: isText ? ['subject', 'body'] : ['x', 'y'] },
      holdout: { share: '40%', newest: 200 },
    },
    train: {
      ...trainerOf(trainer),
      env: { WAREHOUSE_TOKEN: { secret: 'warehouse' } },
      resources: { memory: '1GiB', time: '3m' },
    },
    gate: { metrics: [{ metric: 'accuracy', floor: 0.8, margin: '5pt' }] },
    rollout: endpoint
      ? {
          endpoint,
          canary: ['50%'],
          each: { atLeast: '30 requests', atMost: '2m', onTimeout: 'rollback' },
          rollbackOn: { errorRate: '+5pt', latencyP99: '+2000%' },
          ...rollout,
        }
      : 'none',
    triggers: { newRows: 100 },
    limits: { cyclesPerDay: 100, ...limits },
    ...(webhook && { notify: { on: ['parked', 'rolledBack'], webhook: { secret: 'webhook' } } }),
  };
}

function trainerOf(trainer: Trainer): Pick<LoopFile['train'], 'program' | 'hyperparameters' | 'progressTimeout'> {
  const program = (path: string): LoopFile['train']['program'] => ['node', '--import', noteStart, file(path)];
  switch (trainer.kind) {
    case 'quick':
      return { program: program('../../e2e/train.ts') };
    case 'sick':
      return { program: program('../programs/sick-trainer.ts') };
    case 'resumable':
      return {
        program: program('../../../recipes/text-classifier/train.ts'),
        hyperparameters: {
          ...{ buckets: 2_000, maxTokens: 64, hidden: 8, batchSize: 8, learningRate: 0.01, minRows: 1 },
          ...{ epochs: trainer.epochs, progressSeconds: 0.1, checkpointSeconds: 0.3 },
        },
      };
    case 'misbehaving':
      return {
        program: program('../programs/misbehave.ts'),
        hyperparameters: { how: trainer.how },
        ...(trainer.progressTimeout && { progressTimeout: trainer.progressTimeout }),
      };
  }
}
