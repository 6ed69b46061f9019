/** Rows of both kinds follow from their number alone: the same on every machine and in every run. */

/** Two clouds of points, apart far enough to be told apart by a line. */
export interface PointRow {
  id: string;
  at: string;
  kind: 'ham' | 'spam';
  x: number;
  y: number;
  half: string;
}

const timeOf = (n: number): string => new Date(Date.UTC(2002, 7, 1) + n * 60_000).toISOString();
/** Weyl sequence: evenly spread over 0 to 1. */
const spread = (n: number, step: number): number => (n * step) % 1;

export function pointRows(from: number, count: number): PointRow[] {
  return Array.from({ length: count }, (_, i) => {
    const n = from + i;
    const kind = n % 2 === 0 ? 'ham' : 'spam';
    const center = kind === 'ham' ? -1.5 : 1.5;
    const near = (step: number): number => center + (spread(n, step) - 0.5) * 2;
    return { id: `row-${n}`, at: timeOf(n), kind, x: near(0.618034), y: near(0.414214), half: n % 3 === 0 ? 'a' : 'b' };
  });
}

export interface TextRow {
  id: string;
  at: string;
  kind: 'ham' | 'spam';
  subject: string;
  body: string;
}

const words = {
  ham: ['kernel', 'patch', 'meeting', 'lunch', 'compile', 'thread', 'review', 'module'],
  spam: ['winner', 'cash', 'offer', 'click', 'credit', 'guarantee', 'loan', 'mortgage'],
};

export function textRows(count: number): TextRow[] {
  return Array.from({ length: count }, (_, n) => {
    const kind = n % 2 === 0 ? 'ham' : 'spam';
    const pick = (k: number): string => words[kind][(n * 7 + k * 5 + Math.floor(n / 9)) % 8]!;
    const body = Array.from({ length: 12 }, (__, k) => pick(k)).join(' ');
    return { id: `row-${n}`, at: timeOf(n), kind, subject: `${pick(1)} ${n}`, body: `${body} ${n}` };
  });
}
