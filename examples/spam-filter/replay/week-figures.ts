import type { ReplayWeek } from '../weeks.ts';

/** How a filter did on some mails, in the two ways in which it can be wrong. */
export interface Confusion {
  /** Mails that it judged. */
  mails: number;
  /** Good mails that it called spam. */
  blocked: number;
  /** Spam that it let through. */
  missed: number;
}

export interface WeekFigures {
  /** ISO date of the week's first day. */
  start: string;
  mails: number;
  spam: number;
  /** The first model, never retrained: its shadow answers. */
  frozen: Confusion;
  /** What callers got. */
  loop: Confusion;
  /** The filter that lets everything through: right on accuracy in a week without spam. */
  alwaysHam: Confusion;
}

/** Message id → label that was answered. */
export type Answers = ReadonlyMap<string, string>;

const spamLabel = 'true';

export function weekFigures(week: ReplayWeek, answers: { loop: Answers; frozen: Answers }): WeekFigures {
  const { mails } = week;
  const spam = mails.filter(({ isSpam }) => isSpam).length;
  return {
    start: week.start.toISOString().slice(0, 10),
    mails: mails.length,
    spam,
    frozen: confusion(week, answers.frozen),
    loop: confusion(week, answers.loop),
    alwaysHam: { mails: mails.length, blocked: 0, missed: spam },
  };
}

function confusion({ mails }: ReplayWeek, answers: Answers): Confusion {
  const counts = { mails: 0, blocked: 0, missed: 0 };
  for (const { messageId, isSpam } of mails) {
    const label = answers.get(messageId);
    if (label === undefined) continue;
    counts.mails += 1;
    if (label === spamLabel && !isSpam) counts.blocked += 1;
    if (label !== spamLabel && isSpam) counts.missed += 1;
  }
  return counts;
}

/** All weeks as one. */
export function pooled(weeks: readonly WeekFigures[]): Omit<WeekFigures, 'start'> {
  const add = (a: Confusion, b: Confusion): Confusion => ({
    mails: a.mails + b.mails,
    blocked: a.blocked + b.blocked,
    missed: a.missed + b.missed,
  });
  const none: Confusion = { mails: 0, blocked: 0, missed: 0 };
  return weeks.reduce<Omit<WeekFigures, 'start'>>(
    (sum, week) => ({
      mails: sum.mails + week.mails,
      spam: sum.spam + week.spam,
      frozen: add(sum.frozen, week.frozen),
      loop: add(sum.loop, week.loop),
      alwaysHam: add(sum.alwaysHam, week.alwaysHam),
    }),
    { mails: 0, spam: 0, frozen: none, loop: none, alwaysHam: none },
  );
}

/** Null: it judged nothing. */
export const accuracy = ({ mails, blocked, missed }: Confusion): number | null =>
  mails === 0 ? null : 1 - (blocked + missed) / mails;
