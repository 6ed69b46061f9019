import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { labelDelayMs } from '../../../examples/spam-filter/feed-rows.ts';
import type { MailRow } from '../../../examples/spam-filter/mail.ts';
import type { RowOutcome } from '../../../src/contracts/manifests.ts';
import { loadPredictor } from '../../../src/serving/predictor.ts';
import { isHoldout, normaliseForHash } from '../../../src/stats/holdout.ts';

const trainer = fileURLToPath(new URL('../../../recipes/text-classifier/train.ts', import.meta.url));

/** As `loop.yaml` has it. */
const heldOutShare = 0.2;

/** What a row says and what it is held out by. */
const featuresOf = ({ subject, body }: MailRow): { subject: string; body: string } => ({ subject, body });
const slicesOf = ({ hasHtml, month }: MailRow): string[] => [`hasHtml=${hasHtml}`, `month=${month}`];

export const isHeldOut = (mail: MailRow): boolean =>
  isHoldout(
    createHash('sha256')
      .update(normaliseForHash(featuresOf(mail)))
      .digest('hex'),
    heldOutShare,
  );

/** Mails whose labels are known at a time. */
export const knownAt = (mails: readonly MailRow[], now: Date): MailRow[] =>
  mails.filter(({ receivedAt }) => Date.parse(receivedAt) + labelDelayMs <= now.getTime());

/** Trains as the loop does, in a folder of its own, from a base where there is one. @returns the model's folder */
export async function trained(folder: string, mails: readonly MailRow[], base?: string): Promise<string> {
  const at = (part: string): string => join(folder, part);
  await mkdir(at('train'), { recursive: true });
  const rows = mails
    .filter((mail) => !isHeldOut(mail))
    .map((mail) =>
      JSON.stringify({
        ...{ id: mail.messageId, time: mail.receivedAt, label: String(mail.isSpam), features: featuresOf(mail) },
      }),
    );
  await writeFile(at('train/rows.jsonl'), rows.join('\n'));
  await promisify(execFile)(process.execPath, ['--import', 'tsx', trainer], {
    env: {
      ...process.env,
      SM_CHANNEL_TRAIN: at('train'),
      SM_CHANNEL_BASE: base ?? at('no-base'),
      SM_HPS: '{"epochs": 6}',
      SM_MODEL_DIR: at('model'),
      SM_OUTPUT_DIR: at('output'),
      SM_OUTPUT_DATA_DIR: at('output/data'),
      SM_CHECKPOINT_DIR: at('checkpoints'),
    },
  });
  return at('model');
}

/** What a model answers to mails, held against the labels that they carry. */
export async function outcomesOf(model: string, mails: readonly MailRow[]): Promise<RowOutcome[]> {
  const predictor = await loadPredictor(model);
  try {
    const answers = await predictor.predict(mails.map(featuresOf));
    return mails.map((mail, m) => ({
      ...{ id: mail.messageId, time: mail.receivedAt, label: String(mail.isSpam) },
      ...{ predicted: answers[m]!.label!, score: answers[m]!.score, slices: slicesOf(mail) },
    }));
  } finally {
    await predictor.close();
  }
}

/** As the data check counts them: overall, and by slice. */
export function comparisonsOf(outcomes: readonly RowOutcome[]): { slice: string; rows: number; differ: number }[] {
  const counts = new Map<string, { slice: string; rows: number; differ: number }>();
  for (const { label, predicted, slices } of outcomes)
    for (const slice of ['overall', ...slices]) {
      const { rows, differ } = counts.get(slice) ?? { rows: 0, differ: 0 };
      counts.set(slice, { slice, rows: rows + 1, differ: differ + Number(label !== predicted) });
    }
  return [...counts.values()];
}
