import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { publish } from '../../src/jobs/local/publish.ts';
import type { MailRow } from './mail.ts';

/**
 * A labeller that has the classes swapped: every mail that arrived after `after` and not after `until` gets the wrong
 * label, whichever side of the hold-out it falls on. The demo's `--poison-cycle` switches it on by a file, as it moves the clock.
 */
export const SwappedLabels = z.strictObject({ after: z.iso.datetime(), until: z.iso.datetime() });
export type SwappedLabels = z.infer<typeof SwappedLabels>;

/** Without a file nobody has swapped anything. Throws on a file that says something else. */
export async function readSwappedLabels(path: string | undefined): Promise<SwappedLabels | undefined> {
  if (path === undefined) return undefined;
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  try {
    return SwappedLabels.parse(JSON.parse(text));
  } catch (error) {
    throw new Error(`poison file ${path}: expected {"after": "<ISO time>", "until": "<ISO time>"}`, { cause: error });
  }
}

export const writeSwappedLabels = (path: string, swapped: SwappedLabels): Promise<void> =>
  publish(path, `${JSON.stringify(swapped)}\n`);

/** The mails as the labeller gives them. */
export const asLabelled = (mails: readonly MailRow[], swapped: SwappedLabels | undefined): readonly MailRow[] =>
  swapped === undefined
    ? mails
    : mails.map((mail) => (isSwapped(mail, swapped) ? { ...mail, isSpam: !mail.isSpam } : mail));

/** Times are ISO in UTC with milliseconds, so they compare as text. */
export const isSwapped = ({ receivedAt }: MailRow, { after, until }: SwappedLabels): boolean =>
  receivedAt > after && receivedAt <= until;
