import { rowsToResolve, rowsWithoutEvent } from '../../../src/stats/power.ts';
import { pooled, type WeekFigures } from './week-figures.ts';

/** A fall in recall by this much is what a week should be able to show. */
export const recallLoss = 0.1;

export interface RecallPower {
  /** Spam that shows a recall that is `recallLoss` lower than the loop's over all weeks. */
  spamNeeded: number;
  /** Weeks that have less; `mailsNeeded` at that week's share of spam, null where there is none. */
  tooSmall: { start: string; spam: number; mailsNeeded: number | null }[];
}

/**
 * Which weeks are too small to judge recall, and the rows that it would take: one-sided 5 %, 80 % power, as the gate
 * plans (DESIGN §5). Null without any spam.
 */
export function recallPower(weeks: readonly WeekFigures[]): RecallPower | null {
  const { spam, loop } = pooled(weeks);
  if (spam === 0) return null;
  const recall = 1 - loop.missed / spam;
  // A flawless record has no variance; even it needs the rule of three.
  const spamNeeded = Math.max(rowsToResolve(recall * (1 - recall), recallLoss) ?? 0, rowsWithoutEvent(recallLoss) ?? 0);
  const tooSmall = weeks
    .filter((week) => week.spam < spamNeeded)
    .map((week) => ({
      start: week.start,
      spam: week.spam,
      mailsNeeded: week.spam === 0 ? null : Math.ceil((spamNeeded * week.mails) / week.spam),
    }));
  return { spamNeeded, tooSmall };
}
