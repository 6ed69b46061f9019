import type { Unanswered } from '../../../../examples/spam-filter/replay/ask-endpoint.ts';
import { type RecallPower, recallPower } from '../../../../examples/spam-filter/replay/recall-power.ts';
import { pooled, type WeekFigures } from '../../../../examples/spam-filter/replay/week-figures.ts';
import type { TrafficCounts } from '../../../serving/traffic.ts';
import type { CycleFigures } from './cycle-figures.ts';
import { type Poisoning, poisonProblem } from './poison.ts';

/** All that a run of the demo found; `--json` prints it, and `result.json` keeps it. */
export interface DemoResult {
  schema: 'goto3/demo/v1';
  loop: string;
  /** ISO. */
  startedAt: string;
  /** From the command to the last answer of the loop, the start of the stack included. */
  durationMs: number;
  stackReadyMs: number;
  cycles: CycleFigures[];
  /** Over all cycles. */
  phasesMs: Record<string, number>;
  /** Of the cycles' time: what is in no step's work. */
  orchestrationShare: number | null;
  weeks: WeekFigures[];
  pooled: Omit<WeekFigures, 'start'>;
  recall: RecallPower | null;
  backgroundTraffic: TrafficCounts & { ratePerSecond: number };
  /** Null without `--poison-cycle`. */
  poisoning: Poisoning | null;
  /** Why the command exits 1; empty when all went well. */
  problems: string[];
}

/** Ends of a cycle that its own evidence decided. A rollback, as any failure, would have to be explained first. */
const normalOutcomes: readonly CycleFigures['outcome'][] = [
  'deployed',
  'approved',
  'rejected',
  'failedGate',
  'inconclusive',
];

export interface Findings {
  loop: string;
  startedAt: Date;
  durationMs: number;
  stackReadyMs: number;
  cycles: CycleFigures[];
  weeks: WeekFigures[];
  unanswered: readonly Unanswered[];
  traffic: TrafficCounts;
  ratePerSecond: number;
  poisoning?: Poisoning | null;
}

export function demoResult(findings: Findings): DemoResult {
  const { loop, startedAt, durationMs, stackReadyMs, cycles, weeks, traffic, ratePerSecond } = findings;
  const phasesMs: Record<string, number> = {};
  for (const cycle of cycles)
    for (const [phase, ms] of Object.entries(cycle.phasesMs)) phasesMs[phase] = (phasesMs[phase] ?? 0) + ms;
  const totalMs = Object.values(phasesMs).reduce((sum, ms) => sum + ms, 0);
  return {
    schema: 'goto3/demo/v1',
    loop,
    startedAt: startedAt.toISOString(),
    durationMs,
    stackReadyMs,
    cycles,
    phasesMs,
    orchestrationShare: totalMs === 0 ? null : (phasesMs.orchestration ?? 0) / totalMs,
    weeks,
    pooled: pooled(weeks),
    recall: recallPower(weeks),
    backgroundTraffic: { ...traffic, ratePerSecond },
    poisoning: findings.poisoning ?? null,
    problems: problemsOf(findings),
  };
}

function problemsOf({ cycles, weeks, unanswered, traffic, poisoning }: Findings): string[] {
  const problems = cycles
    .filter(({ outcome }) => !normalOutcomes.includes(outcome))
    .map(({ cycle, outcome, detail }) => `cycle ${cycle} ended as ${outcome}: ${detail}`);
  const first = unanswered[0];
  if (first) problems.push(`${unanswered.length} mails got no answer, the first with: ${first.problem}`);
  const { frozen, loop } = pooled(weeks);
  if (frozen.mails !== loop.mails)
    problems.push(`the frozen model answered ${frozen.mails} mails and the loop ${loop.mails}: not the same mails`);
  if (traffic.failed > 0) problems.push(`${traffic.failed} of ${traffic.sent} background requests failed`);
  const unseen = poisoning && poisonProblem(poisoning);
  if (unseen) problems.push(unseen);
  return problems;
}
