import type { MailRow } from './mail.ts';

/** A mail's label is known this long after it arrived: somebody has to read it first. `loop.yaml` says the same. */
export const labelDelayMs = 86_400_000;

export class BadCursorError extends Error {
  override readonly name = 'BadCursorError';
}

const cursorPattern = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)\/([0-9a-f]{32})$/;

/**
 * What the feed gives after `since`: every row whose label is known at `now` and that lies behind the cursor in the
 * order (time, id). The cursor names the last row given, so a call that failed half-way can be repeated, and no row is
 * given twice or lost however the clock moves. `''` is the start.
 */
export function rowsSince(mails: readonly MailRow[], since: string, now: Date): { rows: MailRow[]; cursor: string } {
  const after = since === '' ? undefined : cursorPattern.exec(since);
  if (after === null) throw new BadCursorError(`--since: expected a cursor that this program printed, got "${since}"`);
  const isBehindCursor = (mail: MailRow) =>
    after === undefined || mail.receivedAt > after[1]! || (mail.receivedAt === after[1]! && mail.messageId > after[2]!);
  const rows = mails.filter(
    (mail) => Date.parse(mail.receivedAt) + labelDelayMs <= now.getTime() && isBehindCursor(mail),
  );
  const last = rows.at(-1);
  return { rows, cursor: last ? `${last.receivedAt}/${last.messageId}` : since };
}
