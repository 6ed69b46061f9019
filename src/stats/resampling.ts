import { createRandom } from './random.ts';

/** Resamples behind every bootstrap bound; a bound at 5 % rests on about 100 of them. */
export const resamples = 2000;
/** Fixed, so that a verdict can be replayed to the same bytes. */
const seed = 0x9073;
/** Drawing costs more than most metrics do, and every metric and slice of a gate asks for the same draws. */
const keptBytes = 64 * 2 ** 20;

const kept = new Map<number, Uint8Array[]>();

/**
 * How often each of `rows` rows is drawn in each resample: a function of `rows` alone. A count above 255 in a bootstrap
 * resample has a probability below 10⁻⁵⁰⁰.
 */
export function* resampleCounts(rows: number): Iterable<Uint8Array> {
  const known = kept.get(rows);
  if (known) {
    // Newest last: the oldest goes first when there is no room.
    kept.delete(rows);
    kept.set(rows, known);
    yield* known;
    return;
  }
  const keep: Uint8Array[] | undefined = rows * resamples <= keptBytes / 4 ? [] : undefined;
  const random = createRandom(seed);
  const scale = rows * 2 ** -32;
  const one = new Uint8Array(rows);
  for (let b = 0; b < resamples; b++) {
    const counts = keep ? new Uint8Array(rows) : one.fill(0);
    for (let i = 0; i < rows; i++) counts[(random.uint32() * scale) | 0]!++;
    keep?.push(counts);
    yield counts;
  }
  if (keep) remember(rows, keep);
}

function remember(rows: number, counts: Uint8Array[]): void {
  kept.set(rows, counts);
  let bytes = 0;
  for (const size of kept.keys()) bytes += size * resamples;
  for (const size of kept.keys()) {
    if (bytes <= keptBytes) break;
    kept.delete(size);
    bytes -= size * resamples;
  }
}
