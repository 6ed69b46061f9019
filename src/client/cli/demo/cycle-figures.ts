import type { CycleReport, Deployment } from '../../../contracts/manifests.ts';
import { getManifest } from '../../../store/manifests.ts';
import type { Store } from '../../../store/types.ts';

/** What a step of a canary rested on. */
export interface CanaryStep {
  /** Percent. */
  weight: number;
  candidateRequests: number;
  currentRequests: number;
  /** Of both, what the demo's own traffic added; 0 to 1. */
  backgroundShare: number;
}

/** A cycle by its report and its deployment, as the store has them. */
export interface CycleFigures {
  cycle: number;
  reason: string;
  rows: number | null;
  newRows: number | null;
  verdict: CycleReport['verdictResult'] | null;
  /** What was registered, or would have been. */
  precision: CycleReport['precision'] | null;
  version: number | null;
  outcome: CycleReport['outcome'];
  detail: string;
  /** On the hold-out. */
  accuracy: number | null;
  championAccuracy: number | null;
  canary: CanaryStep[];
  phasesMs: Record<string, number>;
}

/** Oldest first. */
export async function cycleFigures(store: Store, reports: AsyncIterable<CycleReport>): Promise<CycleFigures[]> {
  const figures: CycleFigures[] = [];
  for await (const report of reports) {
    const { deployment: digest } = report;
    figures.push(figuresOf(report, digest ? await getManifest(store, digest, 'Deployment') : undefined));
  }
  return figures.reverse();
}

export function figuresOf(report: CycleReport, deployment: Deployment | undefined): CycleFigures {
  return {
    cycle: report.cycle,
    reason: report.reason,
    rows: report.rowCount ?? null,
    newRows: report.newRows ?? null,
    verdict: report.verdictResult ?? null,
    precision: report.precision ?? null,
    version: report.version ?? null,
    outcome: report.outcome,
    detail: report.detail,
    accuracy: report.metrics?.accuracy?.value ?? null,
    championAccuracy: report.championMetrics?.accuracy?.value ?? null,
    canary: (deployment?.steps ?? []).map(({ weight, candidateRequests, stableRequests, backgroundShare }) => ({
      weight,
      candidateRequests,
      currentRequests: stableRequests,
      backgroundShare,
    })),
    phasesMs: report.phasesMs,
  };
}
