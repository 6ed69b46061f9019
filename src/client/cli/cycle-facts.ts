import type { CycleReport } from '../../contracts/manifests.ts';
import { isName, refNames } from '../../contracts/names.ts';
import type { Store } from '../../store/types.ts';
import { appliedLoop } from '../apply.ts';
import { cycleReports } from '../cycle-reports.ts';
import { InvalidArgument, NotFoundError } from '../errors.ts';

export interface CycleView {
  cycle: number;
  openedAt: string;
  openedBy: string;
  reason: string;
  /** Null while it is open. */
  report: CycleReport | null;
  /** Where its time went; shares of the whole cycle. */
  phases: Record<string, { ms: number; share: number }> | null;
}

/** Every cycle of a loop, oldest first, by the store alone. `metrics` are those that the gate judges, two at most. */
export async function listCycles(
  store: Store,
  loop: string,
): Promise<{ loop: string; metrics: string[]; cycles: CycleView[] }> {
  if (!isName(loop))
    throw new InvalidArgument(`loop ${JSON.stringify(loop)}: expected lower-case letters, digits, ".", "_" and "-"`);
  const reports = new Map<number, CycleReport>();
  for await (const { report } of cycleReports(store, loop))
    if (!reports.has(report.cycle)) reports.set(report.cycle, report);
  const cycles: CycleView[] = [];
  for await (const { entry, time, by, reason } of store.refs.history(refNames.cycles(loop))) {
    const report = reports.get(entry) ?? null;
    cycles.push({
      cycle: entry,
      openedAt: time,
      openedBy: by,
      reason,
      report,
      phases: report && phasesOf(report),
    });
  }
  const applied = await appliedLoop(store, loop);
  if (!applied && cycles.length === 0)
    throw new NotFoundError(`the store knows no loop ${loop}; goto3 loop list shows those that were applied`);
  return {
    loop,
    metrics: metricsShown(applied?.spec.gate.metrics.map(({ metric }) => metric) ?? [], reports),
    cycles: cycles.reverse(),
  };
}

/** Phases as shares of their sum: the activity of closing the cycle has counted everything once. */
export function phasesOf({ phasesMs }: CycleReport): CycleView['phases'] {
  const total = Object.values(phasesMs).reduce((sum, ms) => sum + ms, 0);
  return Object.fromEntries(
    Object.entries(phasesMs).map(([name, ms]) => [name, { ms: Math.round(ms), share: total > 0 ? ms / total : 0 }]),
  );
}

function metricsShown(gate: readonly string[], reports: ReadonlyMap<number, CycleReport>): string[] {
  const measured = new Set([...reports.values()].flatMap(({ metrics }) => Object.keys(metrics ?? {})));
  const judged = [...new Set(gate)].filter((metric) => measured.has(metric));
  return (judged.length > 0 ? judged : ['accuracy'].filter((metric) => measured.has(metric))).slice(0, 2);
}
