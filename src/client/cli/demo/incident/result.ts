import type { ActFigures, ClientCounts } from './act.ts';
import type { JobsDone } from './jobs-twice.ts';

/** All that a run of `goto3 demo --incident` found; `--json` prints it. */
export interface IncidentResult {
  schema: 'goto3/incident/v1';
  loop: string;
  /** ISO. */
  startedAt: string;
  durationMs: number;
  stackReadyMs: number;
  acts: ActFigures[];
  cycles: { cycle: number; outcome: string; version: number | null }[];
  /** From the first version that serves to the end. */
  clients: ClientCounts & { ratePerSecond: number };
  jobs: JobsDone;
  /** Why the command exits 1; empty when all went well. */
  problems: string[];
}

export function problemsOf({ acts, clients, jobs }: Pick<IncidentResult, 'acts' | 'clients' | 'jobs'>): string[] {
  const problems = acts.flatMap(({ name, fired, secondsToContinue }) => {
    if (!fired) return [`${name}: it never happened`];
    return secondsToContinue === null ? [`${name}: nobody saw the loop go on`] : [];
  });
  if (clients.sent === 0) problems.push('no client asked anything');
  if (clients.failed > 0) problems.push(`${clients.failed} of ${clients.sent} requests of clients failed`);
  return [...problems, ...jobs.twice];
}
