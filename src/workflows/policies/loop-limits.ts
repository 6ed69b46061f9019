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

/** So many starts are remembered one by one: more than a day allows unless a spec asks for many. */
const startsOneByOne = 100;
const slotMs = 900_000;

/**
 * A cycle starts. Where there are too many to carry along, those of a quarter of an hour become one, as late as the last of
 * them: limits then hold a quarter of an hour too long at most, never too short.
 */
export function withStart(recent: Starts, nowMs: number): Starts {
  const before = ofTheLastDay(recent, nowMs);
  return [...(before.length < startsOneByOne ? before : inSlots(before)), { startedAtMs: nowMs, gpuHours: 0 }];
}

function inSlots(starts: Starts): Starts {
  const slotOf = ({ startedAtMs }: Starts[number]): number => Math.floor(startedAtMs / slotMs);
  const slots: Starts = [];
  for (const start of starts) {
    const { startedAtMs } = start;
    const last = slots.at(-1);
    if (!last || slotOf(last) !== slotOf(start)) slots.push(start);
    else slots.splice(-1, 1, { startedAtMs, gpuHours: gpuHoursOf([last, start]), cycles: cyclesOf([last, start]) });
  }
  return slots;
}

export const cyclesOf = (starts: Starts): number => starts.reduce((sum, { cycles = 1 }) => sum + cycles, 0);

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
  let cycles = cyclesOf(today);
  for (const start of today) {
    if (cycles < plan.cyclesPerDay) break;
    cycles -= cyclesOf([start]);
    gates.push({
      atMs: start.startedAtMs + dayMs,
      because: `the limit of ${plan.cyclesPerDay} cycles a day`,
      overBudget: true,
    });
  }
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
