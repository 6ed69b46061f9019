/**
 * ` (did you mean "x"?)`, or nothing where no name is near: at most a third of the letters are wrong, counting neighbours
 * that changed places as one (Damerau 1964: four of five misspellings are one such error).
 */
export function nearest(written: string, names: readonly string[], lead = '; did you mean'): string {
  let best: string | undefined;
  let least = Math.max(1, Math.floor(written.length / 3)) + 0.5;
  for (const name of names) {
    const apart = distance(written.toLowerCase(), name.toLowerCase());
    if (apart < least) [best, least] = [name, apart];
  }
  return best === undefined ? '' : `${lead} ${JSON.stringify(best)}?`;
}

/** Optimal string alignment: insertions, deletions, substitutions, swapped neighbours. */
function distance(a: string, b: string): number {
  // A name of a megabyte is no misspelling.
  if (Math.abs(a.length - b.length) > 20 || a.length > 100) return Number.POSITIVE_INFINITY;
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const cost = a[i - 1] === b[j - 1] ? 0 : 1;
      row[j] = Math.min(rows[i - 1]![j]! + 1, row[j - 1]! + 1, rows[i - 1]![j - 1]! + cost);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        row[j] = Math.min(row[j]!, rows[i - 2]![j - 2]! + 1);
    }
    rows.push(row);
  }
  return rows[a.length]![b.length]!;
}
