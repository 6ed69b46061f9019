import type { Digest } from '../contracts/digest.ts';
import type { Holds } from './holds.ts';

/** What a person wants kept besides what must be. */
export interface RetentionRules {
  /** The newest versions. */
  newest: number;
  /** Versions approved, and candidates made, within this time. */
  youngerThanMs: number;
  /** The newest version of each month, so that a backtest still sees the years. */
  monthly: boolean;
}

/** A model whose files take room: an approved version, or (null) a candidate that never became one. */
export interface Prunable {
  digest: Digest;
  version: number | null;
  /** ISO: approved, or made. */
  at: string;
  /** The float model that an int8 one was made from: the next fine-tune starts from it. */
  origin: Digest | null;
}

/**
 * Why each model is kept; without a reason it may go. Pure.
 * @param required of `requiredHolds`
 */
export function retention(
  models: readonly Prunable[],
  required: Holds,
  { newest, youngerThanMs, monthly }: RetentionRules,
  nowMs: number,
): Map<Digest, string[]> {
  const reasons = new Map<Digest, string[]>(models.map(({ digest }) => [digest, [...(required.get(digest) ?? [])]]));
  const keep = (digest: Digest, why: string): void => {
    const known = reasons.get(digest);
    if (known && !known.includes(why)) known.push(why);
  };
  const versions = models.filter(({ version }) => version !== null).sort((a, b) => b.version! - a.version!);
  for (const { digest } of versions.slice(0, newest)) keep(digest, `one of the newest ${newest}`);
  const months = new Set<string>();
  for (const { digest, at } of monthly ? versions : []) {
    const month = at.slice(0, 7);
    if (!months.has(month)) keep(digest, `the newest of ${month}`);
    months.add(month);
  }
  for (const { digest, at } of models) if (nowMs - Date.parse(at) < youngerThanMs) keep(digest, 'young');
  for (const { digest, origin, version } of models)
    if (origin && reasons.get(digest)!.length > 0)
      keep(origin, `origin of ${version === null ? 'a candidate' : `version ${version}`}`);
  return reasons;
}
