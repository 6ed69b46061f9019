import {
  type Client,
  ScheduleNotFoundError,
  ScheduleOverlapPolicy,
  WorkflowExecutionAlreadyStartedError,
} from '@temporalio/client';
import type { Digest } from '../contracts/digest.ts';
import { AppliedLoop, type LoopSpec } from '../contracts/loop-spec.ts';
import { refNames, taskQueues, workflowIds } from '../contracts/names.ts';
import { searchAttributes } from '../contracts/search-attributes.ts';
import { canonicalBytes, canonicalJson, digestOf } from '../store/canonical-json.ts';
import { getJson, putJson } from '../store/manifests.ts';
import type { Store } from '../store/types.ts';
import type { kick, retrainingLoop } from '../workflows/index.ts';
import { setSpecUpdate } from '../workflows/messages.ts';
import { checkLoop, type LoopFileContent } from './loop-file.ts';
import { tell } from './talk.ts';

/** One changed field, as dotted path. */
export interface Change {
  field: string;
  before: unknown;
  after: unknown;
}

export interface Applied {
  loop: string;
  specDigest: Digest;
  /** Nothing is written or started. */
  dryRun: boolean;
  outcome: 'created' | 'updated' | 'unchanged';
  changes: Change[];
  /** From when on it holds, in words. */
  effect: string;
}

/**
 * Makes a loop what its file says, as often as one likes: the spec into the store, the ref moved, the workflow started or
 * told, the schedule created, changed or removed.
 */
export async function applyLoop(
  { temporal, store }: { temporal: Client; store: Store },
  { file, spec, folder }: LoopFileContent,
  { by, reason, dryRun = false }: { by: string; reason: string; dryRun?: boolean },
): Promise<Applied> {
  const loop = spec.loop;
  const name = refNames.loopSpec(loop);
  const newest = await store.refs.read(name);
  const before = newest && (await getJson(store, AppliedLoop, newest.digest));
  // Who applied it is part of the record, not of the spec: the same file by another person is no change.
  const changes = diff(before ? { ...before.file, folder: before.folder } : {}, { ...file, folder });
  const unchanged = before !== undefined && changes.length === 0;
  const applied: AppliedLoop = unchanged ? before : { schema: 'goto3/applied-loop/v1', file, folder, appliedBy: by };
  const specDigest = digestOf(canonicalBytes(applied));
  const outcome = unchanged ? 'unchanged' : before ? 'updated' : 'created';
  if (dryRun) return { loop, specDigest, dryRun, outcome, changes, effect: 'nothing was changed' };

  if (!unchanged) {
    await putJson(store, AppliedLoop, applied);
    await store.refs.compareAndSet(name, newest, specDigest, {
      operation: `apply ${specDigest} after ${newest?.entry ?? 0}`,
      by,
      reason,
    });
  }
  const effect = await startOrTell(temporal, spec, specDigest, { by, reason });
  await keepSchedule(temporal, spec);
  return { loop, specDigest, dryRun, outcome, changes, effect };
}

async function startOrTell(
  temporal: Client,
  { loop, model }: LoopSpec,
  specDigest: Digest,
  { by, reason }: { by: string; reason: string },
): Promise<string> {
  const workflowId = workflowIds.loop(loop);
  try {
    await temporal.workflow.start<typeof retrainingLoop>('retrainingLoop', {
      workflowId,
      taskQueue: taskQueues.control,
      args: [{ loop, specDigest }],
      staticSummary: `retrains ${model} for ever`,
      typedSearchAttributes: [{ key: searchAttributes.model, value: model }],
    });
    return 'started';
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    const request = { requestId: `apply ${specDigest}`, specDigest, by, reason };
    const answer = await tell(temporal, temporal.workflow.getHandle(workflowId), setSpecUpdate, request);
    return answer.reason;
  }
}

/** `apply` owns the Schedule. Overlap SKIP, and what was missed for more than an hour stays missed (DESIGN §2). */
async function keepSchedule(temporal: Client, { loop, triggers }: LoopSpec): Promise<void> {
  const scheduleId = workflowIds.kick(loop);
  const handle = temporal.schedule.getHandle(scheduleId);
  const known = await handle.describe().then(
    () => true,
    (error: unknown) => {
      if (error instanceof ScheduleNotFoundError) return false;
      throw error;
    },
  );
  if (!triggers.schedule) {
    if (known) await handle.delete();
    return;
  }
  const { cron, timezone } = triggers.schedule;
  const schedule = {
    spec: { cronExpressions: [cron], timezone },
    action: {
      type: 'startWorkflow' as const,
      workflowType: 'kick' as const,
      workflowId: `${scheduleId}/scheduled`,
      taskQueue: taskQueues.control,
      args: [{ loop, reason: `schedule ${cron} ${timezone}` }] as Parameters<typeof kick>,
    },
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: '1h' as const },
  };
  if (known) await handle.update((previous) => ({ ...schedule, state: previous.state }));
  else await temporal.schedule.create({ scheduleId, ...schedule });
}

/** The spec that is applied, for `status`, `explain` and the diff. */
export async function appliedLoop(store: Store, loop: string): Promise<{ spec: LoopSpec; digest: Digest } | undefined> {
  const ref = await store.refs.read(refNames.loopSpec(loop));
  if (!ref) return undefined;
  const { file } = await getJson(store, AppliedLoop, ref.digest);
  return { spec: checkLoop(`the applied spec of ${loop}`, file), digest: ref.digest };
}

/** Fields that differ, by dotted path; lists are compared whole. */
export function diff(before: unknown, after: unknown, path = ''): Change[] {
  if (isMapping(before) && isMapping(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort();
    return keys.flatMap((key) => diff(before[key], after[key], path === '' ? key : `${path}.${key}`));
  }
  return same(before, after) ? [] : [{ field: path, before, after }];
}

const isMapping = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const same = (a: unknown, b: unknown): boolean =>
  a === b || (a !== undefined && b !== undefined && canonicalJson(a) === canonicalJson(b));
