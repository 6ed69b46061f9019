import { hasSameChampion } from '../../../models/approve.ts';
import { type Promotion, promotionState } from '../../../models/promotion-log.ts';
import type { Store } from '../../../store/types.ts';
import type { Attention } from './collect.ts';

/** A version from another environment that waits here for an approver. */
export type WaitingPromotion = Promotion & { waiting: NonNullable<Promotion['waiting']> };

/**
 * Those that a person can still answer, oldest first. One whose deadline is over, or whose champion moved since it was
 * judged, waits for nobody: it has to be promoted again.
 */
export async function waitingPromotions(store: Store, now: Date = new Date()): Promise<WaitingPromotion[]> {
  const found: WaitingPromotion[] = [];
  for await (const name of store.refs.list('models/')) {
    const [, model, key] = /^models\/([^/]+)\/promotions\/([0-9a-f]+)$/.exec(name) ?? [];
    if (model === undefined || key === undefined) continue;
    // Most are settled, and their newest entry alone says so.
    if ((await store.refs.read(name))?.operation !== 'waiting') continue;
    const promotion = await promotionState(store, model, key);
    if (promotion?.state !== 'waiting' || !promotion.waiting) continue;
    const { waiting, plan } = promotion;
    const isLate = waiting.onTimeout === 'reject' && now.toISOString() > waiting.deadline;
    if (!isLate && (await hasSameChampion(store, plan))) found.push({ ...promotion, waiting });
  }
  return found.sort((a, b) => (a.at < b.at ? -1 : 1));
}

/** @param env of the command line, so that the answer goes where the question came from */
export function promotionNeeds({ key, plan, waiting }: WaitingPromotion, env: string | undefined): Attention {
  const start = key.slice(0, 12);
  const who = waiting.by.includes('*') ? 'somebody' : `one of ${waiting.by.join(', ')}`;
  const but = waiting.notBy === null ? '' : ` (not ${waiting.notBy}, who wrote the spec)`;
  const place = env === undefined ? '' : ` --env ${env}`;
  return {
    what: `promotion/${plan.model}/${start}`,
    kind: 'approval',
    why: `${who}${but} until ${waiting.deadline.slice(0, 16)}Z, for ${plan.model}@${plan.version} of ${plan.from}`,
    command: ['approve', 'reject']
      .map((verb) => `goto3 models ${verb} ${plan.model} ${start}${place} --reason "..."`)
      .join('\n'),
  };
}
