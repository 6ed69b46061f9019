import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { parsedCorpus, readMails } from '../examples/spam-filter/corpus.ts';
import { mailEnvironment } from '../examples/spam-filter/environment.ts';
import { labelDelayMs } from '../examples/spam-filter/feed-rows.ts';
import type { MailRow } from '../examples/spam-filter/mail.ts';
import { type ReplayWeek, replayWeeks } from '../examples/spam-filter/weeks.ts';
import { loadPredictor } from '../src/serving/predictor.ts';

/**
 * Accuracy by week of the replay, each week scored by models that were trained on what was labelled before it:
 * `frozen` on 2002-08-01, `fresh` from scratch every week, `warm` started from last week's. Beside them scikit-learn's
 * TF-IDF and logistic regression (test/oracles/spam_weekly.py) when `--python` or GOTO3_ORACLE_PYTHON names a Python
 * that has it.
 *
 *     node --import tsx bench/spam-weekly.ts [--python .venv/bin/python] [--held-out 0.2] [--set epochs=5]…
 */
const run = promisify(execFile);
const trainer = fileURLToPath(new URL('../recipes/text-classifier/train.ts', import.meta.url));
const baseline = fileURLToPath(new URL('../test/oracles/spam_weekly.py', import.meta.url));
const { values: options } = parseArgs({
  options: {
    python: { type: 'string' },
    'held-out': { type: 'string', default: '0' },
    set: { type: 'string', multiple: true, default: [] },
  },
});
const python = options.python ?? process.env.GOTO3_ORACLE_PYTHON;
const hyperparameters = Object.fromEntries(options.set.map((pair) => pair.split('=') as [string, string]));

interface BaselineWeek {
  start: string;
  frozenWrong: string[];
  retrainedWrong: string[];
}
const models = ['frozen', 'fresh', 'warm', 'sklearnFrozen', 'sklearn'] as const;
type ModelName = (typeof models)[number];
type Wrong = Partial<Record<ModelName, Set<string>>>;

const { cacheFolder } = mailEnvironment();
const mails = await readMails(cacheFolder);
const weeks = replayWeeks(mails);
const folder = await mkdtemp(join(tmpdir(), 'spam-weekly-'));
const seconds: Record<'fresh' | 'warm', number[]> = { fresh: [], warm: [] };
const wrong: Wrong[] = [];
try {
  for (const [w, week] of weeks.entries()) {
    const rows = mails.filter(
      (mail) => isTrainable(mail) && Date.parse(mail.receivedAt) + labelDelayMs <= week.start.getTime(),
    );
    const fresh = await trainOn(rows, `fresh-${w}`);
    seconds.fresh.push(fresh.seconds);
    // The first week has no model to start from.
    const warm =
      w === 0 ? fresh : await trainOn(rows, `warm-${w}`, join(folder, w === 1 ? 'fresh-0' : `warm-${w - 1}`, 'model'));
    if (w > 0) seconds.warm.push(warm.seconds);
    wrong.push({
      frozen: await misses(join(folder, 'fresh-0', 'model'), week),
      fresh: await misses(fresh.model, week),
      warm: await misses(warm.model, week),
    });
    console.error(`week ${w + 1} of ${weeks.length}: trained on ${rows.length} mails`);
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
if (python !== undefined) {
  const { stdout } = await run(python, [baseline, await parsedCorpus(cacheFolder)], { maxBuffer: 2 ** 26 });
  for (const [w, week] of (JSON.parse(stdout) as { weeks: BaselineWeek[] }).weeks.entries())
    Object.assign(wrong[w]!, { sklearnFrozen: new Set(week.frozenWrong), sklearn: new Set(week.retrainedWrong) });
}
report();

/** A stable fifth (`--held-out 0.2`) is kept from training, as the loop keeps its hold-out. */
function isTrainable(mail: MailRow): boolean {
  return Number.parseInt(mail.messageId.slice(0, 8), 16) / 2 ** 32 >= Number(options['held-out']);
}

async function trainOn(
  rows: readonly MailRow[],
  name: string,
  base?: string,
): Promise<{ model: string; seconds: number }> {
  const at = (part: string) => join(folder, name, part);
  await mkdir(at('train'), { recursive: true });
  const lines = rows.map(({ messageId, receivedAt, isSpam, subject, body }) =>
    JSON.stringify({ id: messageId, time: receivedAt, label: String(isSpam), features: { subject, body } }),
  );
  await writeFile(at('train/rows.jsonl'), lines.join('\n'));
  const started = performance.now();
  await run(process.execPath, ['--import', 'tsx', trainer], {
    env: {
      ...process.env,
      SM_CHANNEL_TRAIN: at('train'),
      SM_CHANNEL_BASE: base ?? at('no-base'),
      SM_HPS: JSON.stringify(hyperparameters),
      SM_MODEL_DIR: at('model'),
      SM_OUTPUT_DIR: at('output'),
      SM_OUTPUT_DATA_DIR: at('output/data'),
      SM_CHECKPOINT_DIR: at('checkpoints'),
    },
  }).catch(async (error: unknown) => {
    throw new Error(await readFile(at('output/failure'), 'utf8').catch(() => String(error)));
  });
  return { model: at('model'), seconds: (performance.now() - started) / 1_000 };
}

async function misses(model: string, week: ReplayWeek): Promise<Set<string>> {
  const predictor = await loadPredictor(model);
  const answers = await predictor.predict(week.mails.map(({ subject, body }) => ({ subject, body })));
  await predictor.close();
  return new Set(
    week.mails.filter((mail, m) => answers[m]!.label !== String(mail.isSpam)).map((mail) => mail.messageId),
  );
}

function report(): void {
  const shown = models.filter((name) => wrong.every((week) => week[name] !== undefined));
  console.log(['week      ', ' mails', ...shown.map((name) => name.padStart(14))].join(''));
  for (const [w, week] of weeks.entries())
    console.log(
      [
        week.start.toISOString().slice(0, 10),
        String(week.mails.length).padStart(6),
        ...shown.map((name) => accuracy(wrong[w]![name]!.size, week.mails.length).padStart(14)),
      ].join(''),
    );
  const total = weeks.reduce((sum, week) => sum + week.mails.length, 0);
  const pooled = Object.fromEntries(
    shown.map((name) => [name, 1 - wrong.reduce((sum, week) => sum + week[name]!.size, 0) / total]),
  );
  console.log(
    ['pooled    ', String(total).padStart(6), ...shown.map((n) => pooled[n]!.toFixed(4).padStart(14))].join(''),
  );
  console.log(JSON.stringify({ bench: 'spam-weekly', hyperparameters, heldOut: options['held-out'], pooled, seconds }));
}

function accuracy(misses: number, rows: number): string {
  return (1 - misses / rows).toFixed(3);
}
