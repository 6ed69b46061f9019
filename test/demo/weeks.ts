import type { MailRow } from '../../examples/spam-filter/mail.ts';
import type { WeekFigures } from '../../examples/spam-filter/replay/week-figures.ts';
import type { ReplayWeek } from '../../examples/spam-filter/weeks.ts';

export const mail = (messageId: string, isSpam = false, receivedAt = '2002-08-02T10:00:00.000Z'): MailRow => ({
  messageId,
  receivedAt,
  isSpam,
  subject: `subject of ${messageId}`,
  body: `body of ${messageId}`,
  hasHtml: false,
  month: receivedAt.slice(0, 7),
});

export const week = (mails: MailRow[], start = '2002-08-01'): ReplayWeek => ({
  start: new Date(`${start}T00:00:00.000Z`),
  end: new Date(Date.parse(`${start}T00:00:00.000Z`) + 7 * 86_400_000),
  mails,
});

/** Figures of a week in which each model judged every mail. */
export const figures = (
  start: string,
  { mails, spam, frozen, loop }: { mails: number; spam: number; frozen: [number, number]; loop: [number, number] },
): WeekFigures => ({
  start,
  mails,
  spam,
  frozen: { mails, blocked: frozen[0], missed: frozen[1] },
  loop: { mails, blocked: loop[0], missed: loop[1] },
  alwaysHam: { mails, blocked: 0, missed: spam },
});
