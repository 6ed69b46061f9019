import type { Client, WorkflowHandle } from '@temporalio/client';
import type { CycleInput } from '../contracts/messages.ts';
import { workflowIds } from '../contracts/names.ts';

/** What an activity's time counts as; what is in no activity is orchestration. */
const phaseOf: Readonly<Record<string, string>> = {
  snapshotData: 'data',
  checkData: 'data',
  dropData: 'data',
  acceptData: 'data',
  prepareTraining: 'training',
  placeJob: 'training',
  submitJob: 'training',
  awaitJob: 'training',
  collectJob: 'training',
  saveCheckpoint: 'training',
  registerModel: 'training',
  selectHoldout: 'evaluation',
  prepareEvaluation: 'evaluation',
  evaluateModel: 'evaluation',
  quantizeModel: 'quantization',
  decideGate: 'evaluation',
};

/** What the cycle waits for once the activity has ended, until it does anything else: the endpoint. */
const waitAfter: Readonly<Record<string, string>> = { requestDeploy: 'rollout' };
/** Somebody is told while the cycle waits for a person. */
const waitFrom: Readonly<Record<string, string>> = { notify: 'waiting' };

type Events = NonNullable<Awaited<ReturnType<WorkflowHandle['fetchHistory']>>['events']>;

export interface Span {
  phase: string;
  fromMs: number;
  toMs: number;
}

/**
 * Where a cycle's time went, by its own history: work is the time within activities (the last attempt of each), rollout
 * the time that the endpoint took, waiting the time that a person took, and all the rest is orchestration. Nothing is
 * estimated.
 */
export async function cyclePhases(
  client: Client,
  { loop, n }: CycleInput,
  startedAtMs: number,
  endedAtMs: number,
): Promise<Record<string, number>> {
  return phases(await spansOf(client, workflowIds.cycle(loop, n)), startedAtMs, endedAtMs);
}

/** Jobs are trainings, but for those of the user's evaluation program. */
const isEvaluation = (workflowId: string): boolean => workflowId.split('/')[3] === 'evaluate';

async function spansOf(client: Client, workflowId: string): Promise<Span[]> {
  const { events } = await client.workflow.getHandle(workflowId).fetchHistory();
  const { spans: own, children } = readHistory(events ?? []);
  const spans = isEvaluation(workflowId) ? own.map((span) => ({ ...span, phase: 'evaluation' })) : own;
  const ofChildren = await Promise.all(children.map((child) => spansOf(client, child)));
  return [...spans, ...ofChildren.flat()];
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

/** Spans of one workflow's own events, and the ids of the child workflows that have more. */
export function readHistory(events: Events): { spans: Span[]; children: string[] } {
  const spans: Span[] = [];
  const children: string[] = [];
  const activities = new Map<string, { type: string; startedMs?: number }>();
  let wait: { phase: string; fromMs: number } | undefined;
  const endWait = (toMs: number): void => {
    if (wait) spans.push({ ...wait, toMs });
    wait = undefined;
  };
  for (const event of events) {
    const atMs = Number(event.eventTime?.seconds ?? 0) * 1_000 + (event.eventTime?.nanos ?? 0) / 1e6;
    const asked = event.activityTaskScheduledEventAttributes;
    const started = event.activityTaskStartedEventAttributes;
    const child = event.childWorkflowExecutionStartedEventAttributes;
    const ended =
      event.activityTaskCompletedEventAttributes ??
      event.activityTaskFailedEventAttributes ??
      event.activityTaskTimedOutEventAttributes ??
      event.activityTaskCanceledEventAttributes;
    if (asked) {
      endWait(atMs);
      const type = asked.activityType?.name ?? '';
      activities.set(String(event.eventId), { type });
      const phase = waitFrom[type];
      if (phase) wait = { phase, fromMs: atMs };
    } else if (started) {
      const activity = activities.get(String(started.scheduledEventId));
      if (activity) activity.startedMs = atMs;
    } else if (ended) {
      const { type, startedMs } = activities.get(String(ended.scheduledEventId)) ?? { type: '' };
      const phase = phaseOf[type];
      if (phase && startedMs !== undefined) spans.push({ phase, fromMs: startedMs, toMs: atMs });
      const next = waitAfter[type];
      if (next) wait = { phase: next, fromMs: atMs };
    } else if (child) {
      endWait(atMs);
      children.push(child.workflowExecution?.workflowId ?? '');
    } else if (event.workflowExecutionSignaledEventAttributes?.signalName === 'deployFinished') {
      endWait(atMs);
    }
  }
  return { spans, children: children.filter((id) => id !== '') };
}
