import proto from '@temporalio/proto';
import type { Goto3 } from '../../src/client/connect.ts';

const { EventType } = proto.temporal.api.enums.v1;

/** A task that a worker took, as the server wrote it down. */
export interface Taken {
  workflowId: string;
  kind: 'workflow task' | 'activity';
  /** `<pid>@<host>` as the SDK names a worker; here the host. */
  machine: string;
  atMs: number;
}

/** Every task of every workflow, in the order of their histories. */
export async function tasksTaken({ temporal }: Goto3): Promise<Taken[]> {
  const taken: Taken[] = [];
  for await (const { workflowId, runId } of temporal.workflow.list()) {
    const { events } = await temporal.workflow.getHandle(workflowId, runId).fetchHistory();
    for (const event of events ?? []) {
      const isActivity = event.eventType === EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED;
      if (!isActivity && event.eventType !== EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED) continue;
      const { identity } = (event.activityTaskStartedEventAttributes ?? event.workflowTaskCompletedEventAttributes)!;
      taken.push({
        workflowId,
        kind: isActivity ? 'activity' : 'workflow task',
        machine: (identity ?? '').split('@')[1] ?? '',
        atMs: Number(event.eventTime?.seconds ?? 0) * 1_000 + (event.eventTime?.nanos ?? 0) / 1e6,
      });
    }
  }
  return taken;
}
