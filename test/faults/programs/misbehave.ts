import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';

/**
 * A trainer that does what its hyperparameter `how` says, until somebody repairs it: puts a file `repaired` into its
 * working folder. Then it trains like the end-to-end test's.
 */
const forever = (): Promise<never> => new Promise(() => setInterval(() => {}, 60_000));
const progress = (fraction: number): void => console.log(JSON.stringify({ progress: fraction }));

const misbehaviours: Record<string, () => void | Promise<void>> = {
  /** Its process lives and its timer runs; nothing gets done. */
  hang: async () => {
    progress(0.1);
    setInterval(() => progress(0.1), 200);
    await forever();
  },
  /** 64 MiB of output, then the model as usual. */
  flood: async () => {
    const block = Buffer.alloc(2 ** 20, 'no progress here, only words\n');
    for (let i = 0; i < 64; i += 1) if (!process.stdout.write(block)) await once(process.stdout, 'drain');
    await train();
  },
  /** Leaves a child in a session of its own behind that would run for ever, and succeeds. */
  fork: async () => {
    spawn(process.execPath, ['-e', 'setInterval(() => {}, 60000)'], { detached: true, stdio: 'ignore' }).unref();
    await train();
  },
  noModel: () => progress(1),
  nanLoss: () => {
    const output = process.env.SM_OUTPUT_DIR!;
    mkdirSync(output, { recursive: true });
    writeFileSync(`${output}/failure`, 'diverged: the loss is NaN at step 3 of 10');
    process.exit(1);
  },
};

async function train(): Promise<void> {
  await import('../../e2e/train.ts');
}

const how = process.env.SM_HP_HOW ?? '';
const misbehave = misbehaviours[how];
if (!misbehave) throw new Error(`hyperparameter how: expected one of ${Object.keys(misbehaviours)}, got ${how}`);
await (existsSync('repaired') ? train() : misbehave());
