import { type Client, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import type { Digest } from '../contracts/digest.ts';
import { endpointStart } from '../contracts/endpoint-start.ts';
import { AppliedLoop, type LoopSpec } from '../contracts/loop-spec.ts';
import type { SetSpec } from '../contracts/messages.ts';
import { isName, refNames, taskQueues, workflowIds } from '../contracts/names.ts';
import { searchAttributes } from '../contracts/search-attributes.ts';
import { canonicalBytes, canonicalJson, digestOf } from '../store/canonical-json.ts';
import { getJson, putJson } from '../store/manifests.ts';
import type { Ref, Store } from '../store/types.ts';
import type { endpoint as endpointWorkflow, retrainingLoop } from '../workflows/index.ts';
import { setSpecUpdate } from '../workflows/messages.ts';
import { checkLoop, type LoopFileContent } from './loop-file.ts';
import { keepSchedule } from './schedule.ts';
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
  outcome: 'created' | 'updated' | 'unchanged';
  changes: Change[];
  /** From when on it holds, in words. */
  effect: string;
}

export interface PlannedApply extends Omit<Applied, 'effect'> {
  applied: AppliedLoop;
  /** The entry that the plan was made against: what `apply` expects to find. */
  newest: Ref | undefined;
}

/** What `apply` would do, by the store alone; changes nothing. */
export async function planApply(
  store: Store,
  { file, spec, folder }: LoopFileContent,
  by: string,
): Promise<PlannedApply> {
  const newest = await store.refs.read(refNames.loopSpec(spec.loop));
  const before = newest && (await getJson(store, AppliedLoop, newest.digest));
  // Who applied it is part of the record, not of the spec: the same file by another person is no change.
  const changes = diff(before ? { ...before.file, folder: before.folder } : {}, { ...file, folder });
  const unchanged = before !== undefined && changes.length === 0;
  const applied: AppliedLoop = unchanged ? before : { schema: 'goto3/applied-loop/v1', file, folder, appliedBy: by };
  return {
    loop: spec.loop,
    specDigest: digestOf(canonicalBytes(applied)),
    outcome: unchanged ? 'unchanged' : before ? 'updated' : 'created',
    changes,
    applied,
    newest,
  };
}

/**
 * Makes a loop what its file says, as often as one likes: the spec into the store, the ref moved, the workflow started or
 * told, the schedule created, changed or removed.
 */
export async function applyLoop(
  { temporal, store }: { temporal: Client; store: Store },
  content: LoopFileContent,
  { by, reason }: { by: string; reason: string },
): Promise<Applied> {
  const { spec } = content;
  const { applied, newest, ...plan } = await planApply(store, content, by);
  let entry = newest?.entry ?? 0;
  if (plan.outcome !== 'unchanged') {
    await putJson(store, AppliedLoop, applied);
    const moved = await store.refs.compareAndSet(refNames.loopSpec(spec.loop), newest, plan.specDigest, {
      operation: `apply ${plan.specDigest} after ${entry}`,
      by,
      reason,
    });
    entry = moved.entry;
  }
  // Named by the entry, not by the digest: going back to an earlier spec is a new request, not the old one again.
  const request = { requestId: `apply ${spec.loop} ${entry}`, specDigest: plan.specDigest, by, reason };
  const effect = await startOrTell(temporal, spec, request);
  await keepEndpoint({ temporal, store }, spec);
  await keepSchedule(temporal, spec);
  return { ...plan, effect };
}

async function startOrTell(temporal: Client, { loop, model }: LoopSpec, request: SetSpec): Promise<string> {
  const workflowId = workflowIds.loop(loop);
  try {
    await temporal.workflow.start<typeof retrainingLoop>('retrainingLoop', {
      workflowId,
      taskQueue: taskQueues.control,
      args: [{ loop, specDigest: request.specDigest }],
      staticSummary: `retrains ${model} for ever`,
      typedSearchAttributes: [{ key: searchAttributes.model, value: model }],
    });
    return 'started';
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    const answer = await tell(temporal, temporal.workflow.getHandle(workflowId), setSpecUpdate, request);
    return answer.reason;
  }
}

/**
 * An endpoint that serves, and whose workflow went with its Temporal database, goes on too: its probation and its stable
 * version are gone, but it takes people's words again, watches the desired state, and tells whoever is on call.
 */
async function keepEndpoint(
  { temporal, store }: { temporal: Client; store: Store },
  { rollout }: LoopSpec,
): Promise<void> {
  if (rollout === 'none' || !(await store.refs.read(refNames.desired(rollout.endpoint)))) return;
  await temporal.workflow.start<typeof endpointWorkflow>('endpoint', endpointStart(rollout.endpoint));
}

/** The spec that is applied, for `status`, `explain` and the diff. */
export async function appliedLoop(store: Store, loop: string): Promise<{ spec: LoopSpec; digest: Digest } | undefined> {
  const ref = await store.refs.read(refNames.loopSpec(loop));
  if (!ref) return undefined;
  const { file } = await getJson(store, AppliedLoop, ref.digest);
  return { spec: checkLoop(`the applied spec of ${loop}`, file), digest: ref.digest };
}

/** Every loop that was ever applied, by name, whether it runs or not. */
export async function* appliedLoops(store: Store): AsyncIterable<string> {
  for await (const name of store.refs.list('loops/')) {
    const [, loop, what] = name.split('/');
    if (isName(loop) && what === 'spec') yield loop;
  }
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
