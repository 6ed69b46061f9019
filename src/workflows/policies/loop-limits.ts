import type { LoopPlan, LoopState } from '../../contracts/messages.ts';

const dayMs = 86_400_000;

/** The earliest start that the limits allow, and which of them says so. */
export interface Gate {
  atMs: number;
  because: string;
  /** A budget of the day is used up: more than a pause between two cycles, a person may want to know. */
  overBudget: boolean;
}

type Starts = LoopState['recent'];

export const ofTheLastDay = (recent: Starts, nowMs: number): Starts =>
  recent.filter(({ startedAtMs }) => startedAtMs > nowMs - dayMs);

export const gpuHoursOf = (starts: Starts): number => starts.reduce((sum, { gpuHours }) => sum + gpuHours, 0);

/** When the next cycle may start at the earliest; `atMs` is now when nothing holds it back. */
export function earliestStart(
  plan: LoopPlan,
  { recent, lastStartedAtMs }: Pick<LoopState, 'recent' | 'lastStartedAtMs'>,
  nowMs: number,
): Gate {
  const today = ofTheLastDay(recent, nowMs);
  const gates: Gate[] = [{ atMs: nowMs, because: '', overBudget: false }];
  if (lastStartedAtMs !== null)
    gates.push({
      atMs: lastStartedAtMs + plan.minIntervalMs,
      because: 'the minimum interval between cycles',
      overBudget: false,
    });
  if (today.length >= plan.cyclesPerDay)
    gates.push({
      atMs: today[today.length - plan.cyclesPerDay]!.startedAtMs + dayMs,
      because: `the limit of ${plan.cyclesPerDay} cycles a day`,
      overBudget: true,
    });
  let gpuHours = gpuHoursOf(today);
  for (const start of today) {
    if (gpuHours < plan.gpuHoursPerDay) break;
    gpuHours -= start.gpuHours;
    gates.push({
      atMs: start.startedAtMs + dayMs,
      because: `the budget of ${plan.gpuHoursPerDay} GPU hours a day`,
      overBudget: true,
    });
  }
  return gates.reduce((a, b) => (b.atMs > a.atMs ? b : a));
}
