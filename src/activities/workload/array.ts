import { join } from 'node:path';
import type { CollectedArray, JobActivities } from '../../contracts/activities.ts';
import type { ArtifactFile, Digest } from '../../contracts/digest.ts';
import type { FailureClass } from '../../contracts/failures.ts';
import type { JobRef, JobRunner, JobSpec, TaskStatus } from '../../contracts/job.ts';
import { tasksText } from '../../contracts/workload-array.ts';
import { ArrayManifest, FileListDocument } from '../../contracts/workload-documents.ts';
import { InvalidInput } from '../../store/errors.ts';
import { putFolder } from '../../store/folders.ts';
import { getJson, putJson } from '../../store/manifests.ts';
import type { Store } from '../../store/types.ts';

type Task = ArrayManifest['tasks'][number];

/** What person-facing lists need of a task's reason; its log says more. */
const reasonCharacters = 300;

/**
 * Takes an attempt at an array into the store: outputs of its tasks that succeeded, and how every task stands, with those of
 * earlier attempts. Called again it writes the same.
 */
export async function collectArray(
  store: Store,
  runner: JobRunner,
  ref: JobRef,
  before: Digest | null,
): Promise<CollectedArray> {
  if (!runner.tasks) throw new InvalidInput(`runner ${runner.kind}: has no arrays`);
  const standing = new Map<number, Task>(
    before === null ? [] : (await getJson(store, ArrayManifest, before)).tasks.map((task) => [task.task, task]),
  );
  const { dataDirectory } = await runner.outputs(ref);
  for (const status of await runner.tasks(ref))
    standing.set(status.task, await taskOf(store, dataDirectory, ref, status));
  const tasks = [...standing.values()].sort((a, b) => a.task - b.task);
  const files: ArtifactFile[] = [];
  for (const { task, output } of tasks)
    if (output)
      for (const file of await getJson(store, FileListDocument, output))
        files.push({ ...file, path: `${task}/${file.path}` });
  return {
    manifest: await putJson(store, ArrayManifest, { schema: 'goto3/array/v1', tasks }),
    output: files.length > 0 ? await putJson(store, FileListDocument, files) : null,
    total: tasks.length,
    succeeded: tasks.filter(({ state }) => state === 'succeeded').length,
    failed: failedByClass(tasks),
  };
}

async function taskOf(store: Store, outputs: string, ref: JobRef, status: TaskStatus): Promise<Task> {
  const { task, state, failureClass, reason, startedAt, endedAt } = status;
  const times = { ...(startedAt !== undefined && { startedAt }), ...(endedAt !== undefined && { endedAt }) };
  const attempt = ref.name;
  if (state === 'succeeded') {
    const files = await putFolder(store, join(outputs, String(task)));
    const output = files.length > 0 ? await putJson(store, FileListDocument, files) : null;
    return { task, state, attempt, output, ...times };
  }
  // A task without an end belongs to an array that nobody knows anything about any more.
  const over = state === 'failed' || state === 'cancelled';
  return {
    task,
    state: over ? state : 'failed',
    failureClass: over ? (failureClass ?? (state === 'cancelled' ? 'userError' : 'infrastructure')) : 'lost',
    ...(reason !== undefined && { reason: reason.slice(0, reasonCharacters) }),
    attempt,
    output: null,
    ...times,
  };
}

function failedByClass(tasks: readonly Task[]): CollectedArray['failed'] {
  const failed: Partial<Record<FailureClass, number>> = {};
  for (const { state, failureClass = 'infrastructure' } of tasks)
    if (state !== 'succeeded') failed[failureClass] = (failed[failureClass] ?? 0) + 1;
  return failed;
}

/** The array of an attempt that is for tasks that failed alone. */
export async function arrayOf(
  store: Store,
  array: NonNullable<JobSpec['array']>,
  { manifest, classes }: NonNullable<Parameters<JobActivities['placeJob']>[0]['tasks']>,
): Promise<NonNullable<JobSpec['array']>> {
  const { tasks } = await getJson(store, ArrayManifest, manifest);
  const again = tasks.filter(
    ({ state, failureClass = 'infrastructure' }) => state !== 'succeeded' && classes.includes(failureClass),
  );
  if (again.length === 0) throw new InvalidInput(`array ${manifest}: no task has failed as ${classes.join(', ')}`);
  return { tasks: tasksText(again.map(({ task }) => task)), atOnce: Math.min(array.atOnce, again.length) };
}
