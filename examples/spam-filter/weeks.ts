import { replayStart } from './clock.ts';
import type { MailRow } from './mail.ts';

export interface ReplayWeek {
  start: Date;
  end: Date;
  /** The mails that arrive in it, oldest first; they are answered before their labels are known. */
  mails: readonly MailRow[];
}

const weekMs = 7 * 86_400_000;
/** Here the collectors' daily mail ends: 128 mails in the nine weeks after, too few for a week of their own. */
const lastFullWeekEnds = new Date('2002-10-17T00:00:00.000Z');

/** The replay: eleven weeks from 2002-08-01, the rows of the table that the loop is measured by. */
export function replayWeeks(mails: readonly MailRow[]): ReplayWeek[] {
  const weeks: ReplayWeek[] = [];
  for (let start = replayStart.getTime(); start < lastFullWeekEnds.getTime(); start += weekMs)
    weeks.push({
      start: new Date(start),
      end: new Date(start + weekMs),
      mails: mailsBetween(mails, start, start + weekMs),
    });
  return weeks;
}

const mailsBetween = (mails: readonly MailRow[], fromMs: number, untilMs: number): MailRow[] =>
  mails.filter(({ receivedAt }) => Date.parse(receivedAt) >= fromMs && Date.parse(receivedAt) < untilMs);
