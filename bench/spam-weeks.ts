import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { parsedCorpus, readMails } from '../examples/spam-filter/corpus.ts';
import { labelDelayMs } from '../examples/spam-filter/feed-rows.ts';
import type { MailRow } from '../examples/spam-filter/mail.ts';
import { type ReplayWeek, replayWeeks } from '../examples/spam-filter/weeks.ts';
import { loadPredictor } from '../src/serving/predictor.ts';
import { tangoInterval } from '../src/stats/paired-proportions.ts';

/** `frozen` is trained once, `fresh` from scratch every week, `warm` starts from last week's model. */
export type OurModel = 'frozen' | 'fresh' | 'warm';
export type PeerModel = 'sklearnFrozen' | 'sklearn';

export interface WeekResult {
  start: string;
  mails: number;
  /** Ids of the mails that a model got wrong. */
  wrong: Partial<Record<OurModel | PeerModel, ReadonlySet<string>>>;
}

export interface WeeklyRun {
  cacheFolder: string;
  /** Share of the mails that is kept from our training, as the loop keeps its hold-out; scikit-learn trains on all. */
  heldOut: number;
  hyperparameters: Readonly<Record<string, string>>;
  onWeek?: (week: number, of: number, trainedOn: number) => void;
}

const run = promisify(execFile);
const trainer = fileURLToPath(new URL('../recipes/text-classifier/train.ts', import.meta.url));
const baseline = fileURLToPath(new URL('../test/oracles/spam_weekly.py', import.meta.url));

/** Trains on all that was labelled before each week and scores the week's mail. Seconds are those of whole processes. */
export async function ourWeeks({ cacheFolder, heldOut, hyperparameters, onWeek }: WeeklyRun): Promise<{
  weeks: WeekResult[];
  seconds: Record<'fresh' | 'warm', number[]>;
}> {
  const mails = await readMails(cacheFolder);
  const replay = replayWeeks(mails);
  const folder = await mkdtemp(join(tmpdir(), 'spam-weeks-'));
  const seconds: Record<'fresh' | 'warm', number[]> = { fresh: [], warm: [] };
  const weeks: WeekResult[] = [];
  try {
    let [frozen, lastWeeks] = ['', ''];
    for (const [w, week] of replay.entries()) {
      const isKnown = (mail: MailRow) => Date.parse(mail.receivedAt) + labelDelayMs <= week.start.getTime();
      const rows = mails.filter((mail) => isKnown(mail) && !isHeldOut(mail, heldOut));
      const fresh = await trainModel(join(folder, `fresh-${w}`), rows, hyperparameters);
      seconds.fresh.push(fresh.seconds);
      // The first week has no model to start from.
      const warm = w === 0 ? fresh : await trainModel(join(folder, `warm-${w}`), rows, hyperparameters, lastWeeks);
      if (w > 0) seconds.warm.push(warm.seconds);
      lastWeeks = warm.model;
      frozen ||= fresh.model;
      weeks.push({
        start: week.start.toISOString().slice(0, 10),
        mails: week.mails.length,
        wrong: {
          frozen: await misses(frozen, week),
          fresh: await misses(fresh.model, week),
          warm: await misses(warm.model, week),
        },
      });
      onWeek?.(w + 1, replay.length, rows.length);
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  return { weeks, seconds };
}

/** The same weeks by scikit-learn, in a Python that has it. */
export async function sklearnWeeks(
  python: string,
  cacheFolder: string,
): Promise<{ versions: Record<string, string>; weeks: Pick<WeekResult, 'wrong'>[] }> {
  const { stdout } = await run(python, [baseline, await parsedCorpus(cacheFolder)], { maxBuffer: 2 ** 26 });
  const answer = JSON.parse(stdout) as {
    versions: Record<string, string>;
    weeks: { frozenWrong: string[]; retrainedWrong: string[] }[];
  };
  const weeks = answer.weeks.map(({ frozenWrong, retrainedWrong }) => ({
    wrong: { sklearnFrozen: new Set(frozenWrong), sklearn: new Set(retrainedWrong) },
  }));
  return { versions: answer.versions, weeks };
}

/** Accuracy over all weeks together. */
export function pooledAccuracy(weeks: readonly WeekResult[], model: OurModel | PeerModel): number {
  const sum = (count: (week: WeekResult) => number) => weeks.reduce((total, week) => total + count(week), 0);
  return 1 - sum((week) => week.wrong[model]?.size ?? Number.NaN) / sum((week) => week.mails);
}

/** Accuracy of `ours` minus that of `theirs` on the same mails of a week, with its paired 95 % interval. */
export function pairedWeek(week: WeekResult, ours: OurModel, theirs: PeerModel) {
  const [mine, other] = [week.wrong[ours], week.wrong[theirs]];
  if (!mine || !other) throw new Error(`week ${week.start}: no results of ${mine ? theirs : ours}`);
  const gained = [...other].filter((id) => !mine.has(id)).length;
  const lost = [...mine].filter((id) => !other.has(id)).length;
  return { difference: (gained - lost) / week.mails, ...tangoInterval({ rows: week.mails, gained, lost }, 0.95) };
}

const isHeldOut = (mail: MailRow, share: number): boolean =>
  Number.parseInt(mail.messageId.slice(0, 8), 16) / 2 ** 32 < share;

/** One run of the recipe in a folder of its own. */
export async function trainModel(
  job: string,
  rows: readonly MailRow[],
  hyperparameters: Readonly<Record<string, string>>,
  base?: string,
): Promise<{ model: string; seconds: number }> {
  const at = (part: string) => join(job, part);
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
    throw new Error(await readFile(at('output/failure'), 'utf8').catch(() => String(error)), { cause: error });
  });
  return { model: at('model'), seconds: (performance.now() - started) / 1_000 };
}

async function misses(model: string, week: ReplayWeek): Promise<Set<string>> {
  const predictor = await loadPredictor(model);
  const answers = await predictor.predict(week.mails.map(({ subject, body }) => ({ subject, body })));
  await predictor.close();
  const isWrong = (mail: MailRow, m: number) => answers[m]?.label !== String(mail.isSpam);
  return new Set(week.mails.filter(isWrong).map((mail) => mail.messageId));
}
