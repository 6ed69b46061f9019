import type { FeatureRow } from '../../contracts/model.ts';
import { ServingError } from '../errors.ts';
import { createScorer, type ScorerOptions } from './scorer.ts';

export type Servability = { servable: true } | { servable: false; reason: string };

/**
 * Can this model be served at all? A child process loads it, answers neutral rows, then the given ones. Whatever the
 * model does, this process lives. Rejects only when it is cancelled.
 */
export async function probe(options: ScorerOptions & { rows: readonly FeatureRow[] }): Promise<Servability> {
  try {
    const scorer = await createScorer(options);
    try {
      await scorer.score(options.rows);
    } finally {
      await scorer.close();
    }
    return { servable: true };
  } catch (error) {
    if (error instanceof ServingError) return { servable: false, reason: `${error.type}: ${error.message}` };
    throw error;
  }
}
