import type { FeatureRow } from '../../contracts/model.ts';

export interface ChunkLimits {
  maxRows: number;
  /** Characters of text; a single longer row is a chunk of its own. */
  maxCharacters: number;
}

/** Rows in order, in messages of a bounded size, read only as they are asked for. */
export async function* chunksOf(
  rows: Iterable<FeatureRow> | AsyncIterable<FeatureRow>,
  { maxRows, maxCharacters }: ChunkLimits,
): AsyncGenerator<FeatureRow[]> {
  let chunk: FeatureRow[] = [];
  let characters = 0;
  for await (const row of rows) {
    const size = charactersOf(row);
    if (chunk.length > 0 && (chunk.length >= maxRows || characters + size > maxCharacters)) {
      yield chunk;
      chunk = [];
      characters = 0;
    }
    chunk.push(row);
    characters += size;
  }
  if (chunk.length > 0) yield chunk;
}

function charactersOf(row: FeatureRow): number {
  let characters = 0;
  for (const value of Object.values(row)) characters += typeof value === 'string' ? value.length : 8;
  return characters;
}
