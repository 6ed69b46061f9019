import { StatsInputError } from './errors.ts';

type Feature = string | number | boolean | null;

/**
 * The text whose hash decides about a row. Rows that differ only in case, white space, punctuation or digits (the same
 * letter to another customer) get the same text, so near-duplicates land on the same side of the hold-out. Numbers keep
 * their digits, also as strings: in a table they are what tells rows apart. Columns in the order of their names.
 */
export function normaliseForHash(features: Readonly<Record<string, Feature>>): string {
  return Object.keys(features)
    .sort()
    .map((name) => normaliseFeature(features[name]!))
    .join('\u001f');
}

function normaliseFeature(value: Feature): string {
  if (typeof value !== 'string') return String(value);
  const text = value.trim();
  if (text !== '' && Number.isFinite(Number(text))) return String(Number(text));
  return text
    .normalize('NFKC')
    .toLowerCase()
    .replace(/\p{N}+/gu, '0')
    .replace(/[^\p{L}\p{M}0]+/gu, ' ')
    .trim();
}

/**
 * Whether a row is held out for ever: a stable function of the SHA-256 of its normalised text, so no list is kept. A
 * larger share contains the smaller one. `contentHash`: hex, with or without `sha256:`. Throws `StatsInputError` for
 * anything else, since a constant or empty hash would hold out all rows or none.
 */
export function isHoldout(contentHash: string, share: number): boolean {
  const hex = /^(?:sha256:)?([0-9a-f]{64})$/.exec(contentHash)?.[1];
  if (hex === undefined) throw new StatsInputError('contentHash: expected a SHA-256 as 64 lower-case hex digits');
  if (!(share >= 0 && share <= 1)) throw new StatsInputError(`share: got ${share}, expected a number between 0 and 1`);
  // 52 bits are exact in a double; 2^-52 is nobody's share.
  return Number.parseInt(hex.slice(0, 13), 16) * 2 ** -52 < share;
}

/** Rows that repeat the normalised text of another row; the first of each text is no repeat. */
export const repeatedRows = (contentHashes: readonly string[]): number =>
  contentHashes.length - new Set(contentHashes).size;
