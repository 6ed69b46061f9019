/** The corpus was collected in this window; a date outside of it was made up by the sender's clock. */
const collectedFromMs = Date.parse('2001-01-01T00:00:00Z');
const collectedUntilMs = Date.parse('2003-01-01T00:00:00Z');

/**
 * When a mail arrived, in epoch milliseconds: the topmost `Received` stamp that can be true (servers prepend theirs, so
 * it is our own server's), else the `Date` header, else what the mail store wrote down. `undefined`: no date holds.
 * Dates in headers are RFC 5322 §3.3; the stamp of a `Received` is what follows its last semicolon (§3.6.7).
 */
export function receivedAt(headers: readonly { key: string; value: string }[]): number | undefined {
  const values = (key: string) => headers.filter((h) => h.key === key).map((h) => h.value);
  const stamps = values('received').map((value) => value.slice(value.lastIndexOf(';') + 1));
  return [...stamps, ...values('date'), ...values('delivery-date')].map(parseMailDate).find(isPlausible);
}

/** Comments such as `(IST)` are legal in mail dates and unknown to `Date.parse`. */
const parseMailDate = (text: string): number => Date.parse(text.replace(/\([^()]*\)/g, ' ').trim());

const isPlausible = (ms: number): boolean => ms >= collectedFromMs && ms < collectedUntilMs;
