import { condition, setCurrentDetails, upsertSearchAttributes, workflowInfo } from '@temporalio/workflow';
import type { CyclePlan, ReportDraft } from '../../contracts/activities.ts';
import type { CycleStage, NotifyEvent } from '../../contracts/messages.ts';
import { searchAttributes } from '../../contracts/search-attributes.ts';
import { showAttention } from '../attention.ts';
import type { Bell } from '../bell.ts';
import type { CycleMachine, PersonsWord, Waiting } from '../policies/cycle.ts';
import { cycleDetails } from '../policies/details.ts';
import type { Mirror } from './mirror.ts';

/** What every step of a cycle has at hand. */
export interface CycleRun {
  cycle: CycleMachine;
  plan: CyclePlan;
  bell: Bell;
  mirror: Mirror;
  /** What the report will say, as far as it is known by now: a cycle that fails half-way reports it too. */
  known: Partial<ReportDraft>;
}

/** How a cycle ends: outcome, a sentence, and what was known by then. */
export type Ending = Pick<ReportDraft, 'outcome' | 'detail'> & Partial<ReportDraft>;

export function enter(cycle: CycleMachine, stage: CycleStage, waitsFor: string): void {
  cycle.enter(stage, waitsFor, Date.now());
  upsertSearchAttributes([{ key: searchAttributes.stage, value: stage }]);
  show(cycle);
}

export function show(cycle: CycleMachine): void {
  setCurrentDetails(cycleDetails(cycle.status()));
  showAttention(cycle.attention());
}

export function tell({ cycle, plan, bell }: CycleRun, event: NotifyEvent, text: string, command: string | null): void {
  const { workflowId, runId } = workflowInfo();
  const key = `${workflowId}/${runId}/${cycle.nextNotice()}`;
  bell.ring({ loop: plan.loop, n: plan.n, specDigest: plan.specDigest }, { key, event, text, command });
}

/** Waits without a deadline for the one who can repair it. */
export async function park(
  run: CycleRun,
  waiting: Waiting,
  problem: string,
  commands: [string, string],
): Promise<PersonsWord> {
  enter(run.cycle, 'parked', problem);
  return (await ask(run, 'parked', waiting, problem, commands.join('\n'), null))!;
}

/** Shows what it waits for, tells whoever is on call, and waits; null when the deadline passed. */
export async function ask(
  run: CycleRun,
  event: 'parked' | 'approvalNeeded',
  waiting: Waiting,
  text: string,
  command: string,
  withinMs: number | null,
): Promise<PersonsWord | null> {
  const { cycle, bell } = run;
  cycle.waitFor(waiting, text, command, withinMs === null ? null : Date.now() + withinMs);
  show(cycle);
  tell(run, event, text, command);
  const spoken = (): boolean => cycle.word !== null;
  if (withinMs === null) await condition(spoken);
  else await condition(spoken, withinMs);
  // Whoever has not heard of it by now need not: it is decided.
  bell.silence();
  const word = cycle.takeWord();
  show(cycle);
  return word;
}
