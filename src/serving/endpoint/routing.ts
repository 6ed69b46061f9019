import { createHash } from 'node:crypto';
import type { DesiredState, Variant } from '../../contracts/endpoint.ts';

/** What takes traffic now; replaced as a whole, never changed. */
export interface ServingTable {
  generation: number;
  /** Callers' variants, in the desired order; weight 0 = kept warm, answers only when asked by name. */
  variants: readonly Variant[];
  /** Answer a copy of every request. */
  shadows: readonly Variant[];
}

export const emptyTable: ServingTable = { generation: 0, variants: [], shadows: [] };

export const tableOf = (state: DesiredState): ServingTable => ({
  generation: state.generation,
  variants: state.variants.filter(({ shadow }) => !shadow),
  shadows: state.variants.filter(({ shadow }) => shadow),
});

/** 0 ≤ share < 1, the same for the same id on every replica and at every time. */
export function stableShare(inferenceId: string): number {
  return createHash('sha256').update(inferenceId).digest().readUIntBE(0, 6) / 2 ** 48;
}

/**
 * The variant that answers: its share of the requests is weight / sum of weights. By the id and not by chance, so that a
 * retry sees the same variant. Undefined when no variant has weight.
 */
export function chooseVariant(table: ServingTable, inferenceId: string): Variant | undefined {
  const weighted = table.variants.filter(({ weight }) => weight > 0);
  // Nearly always there is one, and nothing to draw.
  if (weighted.length <= 1) return weighted[0];
  const total = weighted.reduce((sum, { weight }) => sum + weight, 0);
  let point = stableShare(inferenceId) * total;
  for (const variant of weighted) {
    if (point < variant.weight) return variant;
    point -= variant.weight;
  }
  // Rounding may step over the end of the last share.
  return weighted.at(-1);
}
