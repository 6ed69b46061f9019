import type { GateResult } from '../../contracts/activities.ts';
import { approvalRule } from '../policies/cycle.ts';
import { ask, type CycleRun, enter } from './run.ts';

export interface Approval {
  approved: boolean;
  by: string;
  reason: string;
  byPerson: boolean;
}

/** Between 6 and 7: the spec says who decides. */
export async function approve(run: CycleRun, verdict: GateResult): Promise<Approval> {
  const { cycle, plan } = run;
  const result = verdict.result === 'inconclusive' ? 'inconclusive' : 'pass';
  const rule = approvalRule(plan, result, cycle.input.inconclusiveBefore);
  const reason = verdict.reasons[0]!;
  if (rule === 'hold') return { approved: false, by: 'gate', reason, byPerson: false };
  if (rule === 'auto') return { approved: true, by: 'gate', reason, byPerson: false };

  await run.mirror.open(plan, verdict, { by: rule.by, notBy: rule.notBy });
  enter(cycle, 'approval', `one of ${rule.by.join(', ')}`);
  const id = `${plan.loop}/${plan.n}`;
  const text = `${id} waits for approval: verdict ${verdict.result}, ${reason}`;
  const command = `goto3 cycle approve ${id} --reason "..."\ngoto3 cycle reject ${id} --reason "..."`;
  const waiting = { kind: 'approval', by: rule.by, notBy: rule.notBy } as const;
  let word = await ask(run, 'approvalNeeded', waiting, text, command, rule.withinMs);
  if (!word && rule.onTimeout === 'reject')
    return { approved: false, by: 'deadline', reason: 'nobody approved it in time', byPerson: false };
  word ??= (await ask(run, 'parked', waiting, `${text}; the deadline has passed`, command, null))!;
  return { approved: word.kind === 'approve', by: word.by, reason: word.reason, byPerson: true };
}
