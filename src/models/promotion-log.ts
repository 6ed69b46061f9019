import { z } from 'zod';
import { type Digest, Digest as DigestSchema } from '../contracts/digest.ts';
import { refNames } from '../contracts/names.ts';
import { canonicalBytes, digestOf } from '../store/canonical-json.ts';
import { getJson, getManifest, putJson } from '../store/manifests.ts';
import type { Ref, Store } from '../store/types.ts';

const digest = DigestSchema.transform((text) => text as Digest);
const position = z.strictObject({ entry: z.number().int().positive(), digest, operation: z.string() });

/**
 * What a promotion is about: the version, and what the target held when it came. Its digest names the promotion: the same
 * version against the same spec, data and champion is the same one, asked once or after a kill.
 */
export const PromotionPlan = z.strictObject({
  schema: z.literal('goto3/promotion/v1'),
  model: z.string(),
  loop: z.string(),
  digest,
  from: z.string(),
  /** Its number there. */
  version: z.number().int().positive(),
  spec: digest,
  dataset: digest,
  champion: position.nullable(),
  anchor: position.nullable(),
});
export type PromotionPlan = z.infer<typeof PromotionPlan>;

/** Since when it waits for whom. */
export const PromotionWait = z.strictObject({
  schema: z.literal('goto3/promotion-wait/v1'),
  by: z.array(z.string()),
  notBy: z.string().nullable(),
  deadline: z.string(),
  onTimeout: z.enum(['reject', 'park']),
});
export type PromotionWait = z.infer<typeof PromotionWait>;

export const PromotionWord = z.strictObject({
  schema: z.literal('goto3/promotion-word/v1'),
  approved: z.boolean(),
  by: z.string(),
  reason: z.string(),
  byPerson: z.boolean(),
});
export type PromotionWord = z.infer<typeof PromotionWord>;

export const promotionKey = (plan: PromotionPlan): string =>
  digestOf(canonicalBytes(plan)).slice('sha256:'.length, 'sha256:'.length + 40);

/** What every step of a promotion has left. A step is written once: whoever comes later gets what was written first. */
export class PromotionLog {
  readonly key: string;
  private readonly store: Store;
  private readonly name: string;

  constructor(store: Store, model: string, key: string) {
    this.store = store;
    this.key = key;
    this.name = refNames.promotion(model, key);
  }

  async once(step: string, what: Digest, { by, reason }: { by: string; reason: string }): Promise<Digest> {
    return (await this.store.refs.append(this.name, what, { operation: step, by, reason: reason.slice(0, 500) }))
      .digest;
  }

  async find(step: string): Promise<Ref | undefined> {
    for await (const entry of this.store.refs.history(this.name)) if (entry.operation === step) return entry;
    return undefined;
  }

  /** The plan is always the first entry. */
  async plan(): Promise<PromotionPlan | undefined> {
    const entry = await this.find('plan');
    return entry && (await getJson(this.store, PromotionPlan, entry.digest));
  }

  async read<S extends z.ZodType>(step: string, schema: S): Promise<z.output<S> | undefined> {
    const entry = await this.find(step);
    return entry && (await getJson(this.store, schema, entry.digest));
  }

  async write<S extends z.ZodType>(step: string, schema: S, value: z.output<S>, who: { by: string; reason: string }) {
    return await getJson(this.store, schema, await this.once(step, await putJson(this.store, schema, value), who));
  }
}

export type PromotionState = 'judging' | 'waiting' | 'approved' | 'failed' | 'held' | 'rejected';

export interface Promotion {
  key: string;
  plan: PromotionPlan;
  state: PromotionState;
  verdict: Digest | null;
  /** Sentences of the verdict, or who said what. */
  reasons: string[];
  waiting: PromotionWait | null;
  by: string | null;
  /** ISO; of its newest step. */
  at: string;
}

/** What became of a promotion, by its log alone. */
export async function promotionState(store: Store, model: string, key: string): Promise<Promotion | undefined> {
  const log = new PromotionLog(store, model, key);
  const plan = await log.plan();
  if (!plan) return undefined;
  const [judged, waiting, word] = [
    await log.find('verdict'),
    await log.read('waiting', PromotionWait),
    await log.read('word', PromotionWord),
  ];
  const verdict = judged && (await getManifest(store, judged.digest, 'Verdict')).verdict;
  const newest = (await store.refs.read(refNames.promotion(model, key)))!;
  const state: PromotionState = word
    ? word.approved
      ? 'approved'
      : word.byPerson || waiting
        ? 'rejected'
        : verdict?.result === 'fail'
          ? 'failed'
          : 'held'
    : waiting
      ? 'waiting'
      : 'judging';
  return {
    ...{ key, plan, state, verdict: judged?.digest ?? null, waiting: waiting ?? null, by: word?.by ?? null },
    reasons: [
      ...(word && (word.byPerson || waiting) ? [`${word.by}: ${word.reason}`] : []),
      ...(verdict?.reasons ?? []),
    ],
    at: newest.time,
  };
}

/** All promotions of a model, newest first. */
export async function promotions(store: Store, model: string): Promise<Promotion[]> {
  const all: Promotion[] = [];
  for await (const name of store.refs.list(`models/${model}/promotions/`)) {
    const found = await promotionState(store, model, name.split('/').at(-1)!);
    if (found) all.push(found);
  }
  return all.sort((a, b) => (a.at < b.at ? 1 : -1));
}
