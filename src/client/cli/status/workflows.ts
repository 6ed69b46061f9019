import type { Client } from '@temporalio/client';
import type { QueryDefinition } from '@temporalio/common';
import type { CycleStatus, EndpointStatus, LoopStatus } from '../../../contracts/messages.ts';
import { searchAttributes } from '../../../contracts/search-attributes.ts';
import { cycleStatusQuery, endpointStatusQuery, loopStatusQuery } from '../../../workflows/messages.ts';

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

export interface OpenEndpoint extends OpenWorkflow {
  status: EndpointStatus | null;
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

/** What they say themselves. `answering`: a control worker runs; without one nobody is asked. */
export async function askWorkflows(
  temporal: Client,
  open: readonly OpenWorkflow[],
  answering: boolean,
): Promise<{ loops: OpenLoop[]; cycles: OpenCycle[]; endpoints: OpenEndpoint[] }> {
  const ask = async <T>(ofType: string, query: QueryDefinition<T>): Promise<(OpenWorkflow & { status: T | null })[]> =>
    await Promise.all(
      open
        .filter(({ type }) => type === ofType)
        .map(async (workflow) => ({
          ...workflow,
          status: answering ? await answerOf(temporal, workflow.workflowId, query) : null,
        })),
    );
  const [loops, cycles, endpoints] = await Promise.all([
    ask<LoopStatus>('retrainingLoop', loopStatusQuery),
    ask<CycleStatus>('retrainCycle', cycleStatusQuery),
    ask<EndpointStatus>('endpoint', endpointStatusQuery),
  ]);
  return { loops, cycles, endpoints };
}

const answerOf = async <T>(temporal: Client, workflowId: string, query: QueryDefinition<T>): Promise<T | null> =>
  await temporal
    .withDeadline(Date.now() + queryWithinMs, () => temporal.workflow.getHandle(workflowId).query(query))
    .catch(() => null);
