import type { Client } from '@temporalio/client';
import type { CycleStatus, LoopStatus } from '../../../contracts/messages.ts';
import { searchAttributes } from '../../../contracts/search-attributes.ts';
import { cycleStatusQuery, loopStatusQuery } from '../../../workflows/messages.ts';

/** More than a page can show; the rest is counted. */
const mostWorkflows = 200;
/** A workflow that nobody works on does not answer; the page does not wait for it. */
const queryWithinMs = 3_000;

export interface OpenWorkflow {
  workflowId: string;
  type: string;
  startedAt: string;
  stage: string | null;
  /** What kind of act a person owes it: `approval`, `parked`, `frozen`, `paused`, `overBudget`. */
  attention: string | null;
}

export interface OpenCycle extends OpenWorkflow {
  /** Null when it does not answer. */
  status: CycleStatus | null;
}

export interface OpenLoop extends OpenWorkflow {
  status: LoopStatus | null;
}

/** All our open workflows, by one look at the server's visibility: it answers without any worker. */
export async function openWorkflows(temporal: Client): Promise<OpenWorkflow[]> {
  const query = `ExecutionStatus = 'Running' AND WorkflowType IN ('retrainingLoop', 'retrainCycle', 'endpoint')`;
  const open: OpenWorkflow[] = [];
  for await (const info of temporal.workflow.list({ query, pageSize: mostWorkflows })) {
    const { workflowId, type, startTime, typedSearchAttributes: attributes } = info;
    open.push({
      workflowId,
      type,
      startedAt: startTime.toISOString(),
      stage: attributes.get(searchAttributes.stage) ?? null,
      attention: attributes.get(searchAttributes.attention) ?? null,
    });
    if (open.length >= mostWorkflows) break;
  }
  return open;
}

/** What loops and cycles say themselves. `answering`: a control worker runs; without one nobody is asked. */
export async function askWorkflows(
  temporal: Client,
  open: readonly OpenWorkflow[],
  answering: boolean,
): Promise<{ loops: OpenLoop[]; cycles: OpenCycle[] }> {
  const ask = async <T>(
    workflowId: string,
    query: Parameters<ReturnType<Client['workflow']['getHandle']>['query']>[0],
  ) => {
    if (!answering) return null;
    return await temporal
      .withDeadline(Date.now() + queryWithinMs, () => temporal.workflow.getHandle(workflowId).query(query))
      .then((status) => status as T)
      .catch(() => null);
  };
  const [loops, cycles] = await Promise.all([
    Promise.all(
      open
        .filter(({ type }) => type === 'retrainingLoop')
        .map(async (w) => ({ ...w, status: await ask<LoopStatus>(w.workflowId, loopStatusQuery) })),
    ),
    Promise.all(
      open
        .filter(({ type }) => type === 'retrainCycle')
        .map(async (w) => ({ ...w, status: await ask<CycleStatus>(w.workflowId, cycleStatusQuery) })),
    ),
  ]);
  return { loops, cycles };
}
