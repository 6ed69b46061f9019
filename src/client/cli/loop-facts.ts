import type { Client } from '@temporalio/client';
import type { CycleReport } from '../../contracts/manifests.ts';
import type { LoopStatus } from '../../contracts/messages.ts';
import { refNames, workflowIds } from '../../contracts/names.ts';
import type { Store } from '../../store/types.ts';
import { loopStatusQuery } from '../../workflows/messages.ts';
import { appliedLoops } from '../apply.ts';
import { cycleReports } from '../cycle-reports.ts';

export interface LoopFacts {
  name: string;
  /** The loop's own word; `not running` or `does not answer` where it has none; `unknown` without a server. */
  state: LoopStatus['state'] | 'not running' | 'does not answer' | 'unknown';
  /** Cycles that were opened, ever. */
  cycles: number;
  /** The last one that ended. */
  last: Pick<CycleReport, 'cycle' | 'outcome' | 'detail' | 'endedAt'> | null;
  waitsFor: string | null;
}

/** A loop without a worker does not hold up the others. */
const answerWithinMs = 3_000;

/** Every applied loop: its past from the store, its present from its workflow. */
export async function listLoops(store: Store, temporal: Client | undefined): Promise<LoopFacts[]> {
  const names: string[] = [];
  for await (const name of appliedLoops(store)) names.push(name);
  return await Promise.all(
    names.map(async (name) => ({
      name,
      ...(await present(temporal, name)),
      cycles: (await store.refs.read(refNames.cycles(name)))?.entry ?? 0,
      last: await lastCycle(store, name),
    })),
  );
}

async function lastCycle(store: Store, loop: string): Promise<LoopFacts['last']> {
  for await (const { report } of cycleReports(store, loop)) {
    const { cycle, outcome, detail, endedAt } = report;
    return { cycle, outcome, detail, endedAt };
  }
  return null;
}

async function present(temporal: Client | undefined, loop: string): Promise<Pick<LoopFacts, 'state' | 'waitsFor'>> {
  if (!temporal) return { state: 'unknown', waitsFor: null };
  try {
    const { state, waitsFor } = await temporal.withDeadline(Date.now() + answerWithinMs, () =>
      temporal.workflow.getHandle(workflowIds.loop(loop)).query(loopStatusQuery),
    );
    return { state, waitsFor };
  } catch (error) {
    // By name: the client library is loaded only where there is a server.
    const gone = error instanceof Error && ['WorkflowNotFoundError', 'QueryRejectedError'].includes(error.name);
    return { state: gone ? 'not running' : 'does not answer', waitsFor: null };
  }
}
