import { formatDuration } from '../../contracts/units.ts';

/** `2026-07-01 10:02:03Z`: UTC, as the Web UI shows it. */
export function clock(time: string | number | Date): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? String(time) : `${date.toISOString().slice(0, 19).replace('T', ' ')}Z`;
}

/** `3m 5s ago` */
export const ago = (time: string | number | Date, nowMs = Date.now()): string =>
  `${formatDuration(Math.max(0, nowMs - new Date(time).getTime()))} ago`;

/** Enough of a digest to tell two apart; JSON output has all of it. */
export const short = (digest: string): string => digest.slice(0, 'sha256:'.length + 12);

export const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** 6046 → `6,046`, whatever the locale. */
export const count = (n: number): string => n.toString().replace(/\B(?=(\d{3})+(?!\d))/g, ',');

export const plural = (n: number, what: string): string => `${count(n)} ${what}${n === 1 ? '' : 's'}`;
