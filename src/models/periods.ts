/** How long one period of a backtest is. */
export const periodLengths = ['week', 'month'] as const;
export type PeriodLength = (typeof periodLengths)[number];

const dayMs = 86_400_000;

/** The period of a time, in UTC: `2002-09`, or `2002-W36` as ISO 8601 counts weeks (they begin on Monday). */
export function periodOf(isoTime: string, by: PeriodLength): string {
  if (by === 'month') return isoTime.slice(0, 7);
  const day = new Date(`${isoTime.slice(0, 10)}T00:00:00Z`);
  // A week belongs to the year of its Thursday.
  const thursday = new Date(day.getTime() + (3 - ((day.getUTCDay() + 6) % 7)) * dayMs);
  const year = thursday.getUTCFullYear();
  const week = Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / (7 * dayMs)) + 1;
  return `${year}-W${String(week).padStart(2, '0')}`;
}
