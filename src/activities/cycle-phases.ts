import type { Client } from '@temporalio/client';
import type { CycleInput } from '../contracts/messages.ts';
import { workflowIds } from '../contracts/names.ts';

/** What an activity's time counts as; what is in no activity is orchestration. */
const phaseOf: Readonly<Record<string, string>> = {
  snapshotData: 'data',
  checkData: 'data',
  dropData: 'data',
  acceptData: 'data',
  prepareTraining: 'training',
  submitJob: 'training',
  awaitJob: 'training',
  collectJob: 'training',
  saveCheckpoint: 'training',
  registerModel: 'training',
  selectHoldout: 'evaluation',
  evaluateModel: 'evaluation',
  quantizeModel: 'quantization',
  decideGate: 'evaluation',
};

export interface Span {
  phase: string;
  fromMs: number;
  toMs: number;
}

/**
 * Where a cycle's time went, by its own history: work is the time within activities, rollout the time that the endpoint
 * took, waiting the time that a person took, and all the rest is orchestration. Nothing is estimated.
 */
export async function cyclePhases(
  client: Client,
  { loop, n }: CycleInput,
  startedAtMs: number,
  endedAtMs: number,
): Promise<Record<string, number>> {
  const spans = await spansOf(client, workflowIds.cycle(loop, n));
  return phases(spans, startedAtMs, endedAtMs);
}

/** Sums spans by phase; overlapping spans count once for the total, so `orchestration` is what no span covers. */
export function phases(spans: readonly Span[], startedAtMs: number, endedAtMs: number): Record<string, number> {
  const sums: Record<string, number> = {};
  let covered = 0;
  let until = startedAtMs;
  for (const { phase, fromMs, toMs } of [...spans].sort((a, b) => a.fromMs - b.fromMs)) {
    const from = Math.max(fromMs, until);
    const to = Math.min(toMs, endedAtMs);
    if (to <= from) continue;
    sums[phase] = (sums[phase] ?? 0) + (to - from);
    covered += to - from;
    until = to;
  }
  return { ...sums, orchestration: Math.max(0, endedAtMs - startedAtMs - covered) };
}

async function spansOf(client: Client, workflowId: string): Promise<Span[]> {
  const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
  const scheduled = new Map<string, { type: string; startedMs?: number }>();
  const spans: Span[] = [];
  const children: string[] = [];
  let deployAskedMs: number | undefined;
  for (const event of events ?? []) {
    const atMs = Number(event.eventTime?.seconds ?? 0) * 1_000 + (event.eventTime?.nanos ?? 0) / 1e6;
    const { activityTaskScheduledEventAttributes: asked, activityTaskStartedEventAttributes: started } = event;
    const completed =
      event.activityTaskCompletedEventAttributes ??
      event.activityTaskFailedEventAttributes ??
      event.activityTaskTimedOutEventAttributes ??
      event.activityTaskCanceledEventAttributes;
    if (asked) scheduled.set(String(event.eventId), { type: asked.activityType?.name ?? '' });
    else if (started) {
      const activity = scheduled.get(String(started.scheduledEventId));
      if (activity) activity.startedMs = atMs;
    } else if (completed) {
      const activity = scheduled.get(String(completed.scheduledEventId));
      const phase = activity && phaseOf[activity.type];
      if (phase && activity.startedMs !== undefined) spans.push({ phase, fromMs: activity.startedMs, toMs: atMs });
      if (activity?.type === 'requestDeploy') deployAskedMs = atMs;
    } else if (event.childWorkflowExecutionStartedEventAttributes) {
      children.push(event.childWorkflowExecutionStartedEventAttributes.workflowExecution?.workflowId ?? '');
    } else if (
      event.workflowExecutionSignaledEventAttributes?.signalName === 'deployFinished' &&
      deployAskedMs !== undefined
    ) {
      spans.push({ phase: 'rollout', fromMs: deployAskedMs, toMs: atMs });
    } else if (event.workflowExecutionUpdateAcceptedEventAttributes) {
      // A person spoke: the time since the last piece of work was theirs.
      const since = Math.max(...spans.map((s) => s.toMs), 0);
      if (since > 0) spans.push({ phase: 'waiting', fromMs: since, toMs: atMs });
    }
  }
  const ofChildren = await Promise.all(children.filter((id) => id !== '').map((id) => spansOf(client, id)));
  return [...spans, ...ofChildren.flat()];
}
