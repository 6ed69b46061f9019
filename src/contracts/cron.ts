/** Value ranges of the five fields: minute, hour, day of month, month, day of week (0 and 7 are Sunday). */
const fields = [
  { name: 'minute', from: 0, to: 59, names: [] },
  { name: 'hour', from: 0, to: 23, names: [] },
  { name: 'day of month', from: 1, to: 31, names: [] },
  { name: 'month', from: 1, to: 12, names: 'jan feb mar apr may jun jul aug sep oct nov dec'.split(' ') },
  { name: 'day of week', from: 0, to: 7, names: 'sun mon tue wed thu fri sat'.split(' ') },
];

/** What is wrong with a cron expression of five fields; undefined when a Temporal Schedule takes it. */
export function cronProblem(text: string): string | undefined {
  const parts = text.trim().split(/\s+/);
  if (parts.length !== fields.length)
    return `expected five fields "minute hour day-of-month month day-of-week" such as "0 3 * * *", got ${JSON.stringify(text)}`;
  for (const [i, field] of fields.entries())
    for (const item of parts[i]!.split(','))
      if (!fits(item, field))
        return `${field.name}: expected "*", a number from ${field.from} to ${field.to}, a range or a step, got ${JSON.stringify(item)}`;
  return undefined;
}

function fits(item: string, { from, to, names }: (typeof fields)[number]): boolean {
  const [, range, step] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(item) ?? [];
  if (range === undefined || step === '0' || Number(step ?? 1) > to) return false;
  if (range === '*') return true;
  const [first, last, ...more] = range.split('-').map((text) => {
    const named = names.indexOf(text.toLowerCase());
    return named >= 0 ? named + (from === 0 ? 0 : 1) : /^\d{1,2}$/.test(text) ? Number(text) : Number.NaN;
  });
  if (more.length > 0) return false;
  const inside = (n: number | undefined): boolean => n === undefined || (n >= from && n <= to);
  return inside(first) && inside(last) && (last === undefined || first! <= last);
}

/** As the tz database names them: `UTC`, `Europe/Berlin`. */
export function isTimezone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}
