import type { Client } from '@temporalio/client';

export interface Histories {
  /** Events, over the loop, its cycles and their jobs. */
  largest: number;
  loopRuns: number;
  /** Of the state that each run of the loop but the first began with. */
  carriedBytes: number[];
}

/** What a loop, its cycles and jobs left on the server. */
export async function historiesOf(client: Client, loop: string): Promise<Histories> {
  let largest = 0;
  const runs: { startTime: Date; runId: string }[] = [];
  for await (const { type, startTime, runId, historyLength } of client.workflow.list()) {
    largest = Math.max(largest, historyLength);
    if (type === 'retrainingLoop') runs.push({ startTime, runId });
  }
  runs.sort((a, b) => Number(a.startTime) - Number(b.startTime));
  const carriedBytes: number[] = [];
  for (const { runId } of runs.slice(1)) {
    const { history } = await client.workflowService.getWorkflowExecutionHistory({
      namespace: 'default',
      execution: { workflowId: `loop/${loop}`, runId },
      maximumPageSize: 1,
    });
    const input = history?.events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads?.[0]?.data;
    carriedBytes.push(input?.length ?? 0);
  }
  return { largest, loopRuns: runs.length, carriedBytes };
}
