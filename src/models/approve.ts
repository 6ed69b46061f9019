import { asRef } from '../activities/refs.ts';
import { readSpec, type Spec } from '../activities/spec.ts';
import { refNames } from '../contracts/names.ts';
import type { Verdict } from '../contracts/verdict.ts';
import { RefConflict } from '../store/errors.ts';
import type { Store } from '../store/types.ts';
import { Refused } from './errors.ts';
import {
  type Promotion,
  PromotionLog,
  type PromotionPlan,
  PromotionWait,
  PromotionWord,
  promotionState,
} from './promotion-log.ts';

const aWeekMs = 7 * 86_400_000;

/**
 * After the verdict, by the rules that a cycle has: pass goes on by itself or waits for an approver, as the spec says;
 * inconclusive is held, or asks. What is approved is registered.
 */
export async function settle(
  target: Store,
  log: PromotionLog,
  verdict: Verdict,
  { spec, appliedBy }: Spec,
): Promise<void> {
  const gate = { by: 'gate', reason: verdict.reasons[0]! };
  const word = (approved: boolean) =>
    log.write('word', PromotionWord, { schema: 'goto3/promotion-word/v1', approved, ...gate, byPerson: false }, gate);
  if (await log.find('word')) return await register(target, log);
  const asks = verdict.result === 'inconclusive' && spec.gate.onInconclusive === 'ask';
  if (verdict.result === 'fail' || (verdict.result === 'inconclusive' && !asks)) {
    await word(false);
    return;
  }
  if (spec.approval === 'auto' && !asks) {
    await requireSameChampion(target, (await log.plan())!);
    await word(true);
    return await register(target, log);
  }
  const rule = spec.approval === 'auto' ? { by: ['*'], within: aWeekMs, onTimeout: 'reject' as const } : spec.approval;
  const notBy = 'notBy' in rule && rule.notBy === 'author' ? appliedBy : null;
  const deadline = new Date(Date.now() + rule.within).toISOString();
  const wait = { schema: 'goto3/promotion-wait/v1' as const, by: rule.by, notBy, deadline, onTimeout: rule.onTimeout };
  await log.write('waiting', PromotionWait, wait, gate);
}

/**
 * A person's word on a promotion that waits. Said twice by the same it is said once. @throws Refused
 */
export async function decidePromotion(
  target: Store,
  model: string,
  key: string,
  { approved, by, reason }: { approved: boolean; by: string; reason: string },
  now: Date = new Date(),
): Promise<Promotion> {
  const log = new PromotionLog(target, model, key);
  const known = await promotionState(target, model, key);
  if (!known)
    throw new Refused(`there is no promotion ${key} of ${model}; goto3 models promotions ${model} lists them`);
  const { waiting } = known;
  const repeated = (known.state === 'approved') === approved && known.by === by;
  if (!repeated) {
    if (known.state !== 'waiting' || !waiting)
      throw new Refused(`promotion ${key} is ${known.state} and waits for nobody`);
    if (!waiting.by.includes('*') && !waiting.by.includes(by))
      throw new Refused(`"${by}" is not one of the approvers: ${waiting.by.join(', ')}`);
    if (waiting.notBy === by) throw new Refused(`"${by}" is the author of the spec and may not approve it`);
  }
  const say = async (word: Omit<PromotionWord, 'schema'>) =>
    await log.write('word', PromotionWord, { schema: 'goto3/promotion-word/v1', ...word }, word);
  if (!repeated && waiting && waiting.onTimeout === 'reject' && now.toISOString() > waiting.deadline) {
    await say({ approved: false, by: 'deadline', reason: 'nobody approved it in time', byPerson: false });
    throw new Refused(`promotion ${key}: the deadline was ${waiting.deadline}; promote it again`);
  }
  if (approved && !repeated) await requireSameChampion(target, known.plan);
  const said = await say({ approved, by, reason, byPerson: true });
  if (said.by !== by || said.approved !== approved) throw new Refused(`promotion ${key}: ${said.by} was faster`);
  await register(target, log);
  return (await promotionState(target, model, key))!;
}

/** Whether it is still the one that the version was judged against. */
export async function hasSameChampion(target: Store, { model, champion }: PromotionPlan): Promise<boolean> {
  return ((await target.refs.read(refNames.champion(model)))?.entry ?? 0) === (champion?.entry ?? 0);
}

async function requireSameChampion(target: Store, plan: PromotionPlan): Promise<void> {
  if (!(await hasSameChampion(target, plan)))
    throw new Refused(
      `the champion of ${plan.model} moved since ${plan.from}@${plan.version} was judged: promote it again`,
    );
}

/** The version, the anchor where a person approved it, and the champion where no endpoint decides that. */
async function register(target: Store, log: PromotionLog): Promise<void> {
  const [plan, word] = [(await log.plan())!, (await log.read('word', PromotionWord))!];
  if (!word.approved) return;
  const { spec } = await readSpec(target, plan.spec);
  const why = { by: word.by, reason: `${word.reason} (${plan.from}@${plan.version})`.slice(0, 500) };
  const operation = `promotion/${log.key}`;
  const { model, digest } = plan;
  await target.refs.append(refNames.versions(model), digest, { operation, ...why });
  await log.once('version', digest, why);
  if (word.byPerson) await target.refs.append(refNames.anchor(model), digest, { operation, ...why });
  if (spec.rollout !== 'none' || (await log.find('champion'))) return;
  const name = refNames.champion(model);
  try {
    await target.refs.compareAndSet(name, asRef(name, plan.champion), digest, { operation, ...why });
  } catch (error) {
    // A cycle was faster by moments: its champion was judged too. The version is approved, and stays so.
    if (!(error instanceof RefConflict)) throw error;
    await log.once('champion', digest, { by: word.by, reason: `not crowned: ${error.message}` });
    return;
  }
  await log.once('champion', digest, why);
}
