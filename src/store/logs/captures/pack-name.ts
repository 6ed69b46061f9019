/** What a pack holds, as its file name says it: enough to skip it without opening it. */
export interface PackRange {
  /** Numbers of its first and last segment. */
  first: number;
  last: number;
  /** Times of its oldest and newest record, wall-clock milliseconds. */
  fromMs: number;
  toMs: number;
}

const pattern = /^(\d{9,15})-(\d{9,15})_(\d{1,15})-(\d{1,15})\.index$/;
const padded = (number: number): string => String(number).padStart(9, '0');

export const packName = ({ first, last, fromMs, toMs }: PackRange): string =>
  `${padded(first)}-${padded(last)}_${fromMs}-${toMs}`;

/** The pack whose index has this file name; undefined for any other file. */
export function packOfIndex(fileName: string): PackRange | undefined {
  const match = pattern.exec(fileName);
  if (!match) return undefined;
  const [first, last, fromMs, toMs] = match.slice(1).map(Number) as [number, number, number, number];
  return { first, last, fromMs, toMs };
}
