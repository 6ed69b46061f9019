import { scanTokens } from '../../serving/features/scan-tokens.ts';

/** Places that the words of a text are hashed to: few enough that a window fills them. */
export const termPlaces = 64;

/** Words of a text by their hash, each once; never the text itself. */
export function wordsOf(text: string): Set<number> {
  const words = new Set<number>();
  scanTokens(text, (hash) => {
    words.add(hash >>> 0);
    return true;
  });
  return words;
}

/** Share of the words that the vocabulary does not have; null where there is no word. */
export function unknownShare(words: ReadonlySet<number>, vocabulary: ReadonlySet<number>): number | null {
  if (words.size === 0) return null;
  let unknown = 0;
  for (const word of words) if (!vocabulary.has(word)) unknown += 1;
  return unknown / words.size;
}

/** Rows that have a word at each place. */
export function termRows(rows: readonly ReadonlySet<number>[]): { rows: number; have: number[] } {
  const have = new Array<number>(termPlaces).fill(0);
  for (const words of rows) {
    const places = new Set<number>();
    // FNV's low bits follow the last letter most: the high ones are mixed in.
    for (const word of words) places.add((word ^ (word >>> 15)) % termPlaces);
    for (const place of places) have[place]! += 1;
  }
  return { rows: rows.length, have };
}
