/**
 * Which hypotheses fall at family-wise error `alpha`: S. Holm, "A simple sequentially rejective multiple test procedure",
 * Scandinavian Journal of Statistics 6 (1979) 65–70. In the order given; an empty family rejects nothing.
 */
export function holmRejects(pValues: readonly number[], alpha: number): boolean[] {
  return holmAdjusted(pValues).map((p) => p <= alpha);
}

/** Holm's adjusted p-values: reject those at or below alpha. NaN counts as 1. */
export function holmAdjusted(pValues: readonly number[]): number[] {
  const order = pValues.map((_, i) => i).sort((a, b) => finite(pValues[a]!) - finite(pValues[b]!) || a - b);
  const adjusted = new Array<number>(pValues.length);
  let running = 0;
  for (const [rank, i] of order.entries()) {
    running = Math.max(running, Math.min(1, finite(pValues[i]!) * (pValues.length - rank)));
    adjusted[i] = running;
  }
  return adjusted;
}

const finite = (p: number) => (Number.isNaN(p) ? 1 : p);
