import type { ArtifactFile, Digest } from '../../contracts/digest.ts';
import { JobSpec } from '../../contracts/job.ts';
import { refNames } from '../../contracts/names.ts';
import { taskNumbers, tasksText } from '../../contracts/workload-array.ts';
import { ArrayManifest, FileListDocument, type WorkloadJobEnd } from '../../contracts/workload-documents.ts';
import type { PreparedJob } from '../../contracts/workload-messages.ts';
import { type WorkloadRun, workloadIds } from '../../contracts/workload-names.ts';
import { channelOfJob, scriptChannel } from '../../contracts/workload-rules.ts';
import { jobSpecOf, resourcesOf, runsOnOf } from '../../jobs/workload/compile.ts';
import { InvalidInput } from '../../store/errors.ts';
import { getJson, putJson } from '../../store/manifests.ts';
import type { Store } from '../../store/types.ts';
import { channelsOf, readEnd, type Submission } from './standing.ts';

type Ends = ReadonlyMap<string, WorkloadJobEnd>;

/** Writes the JobSpec of a job whose needs have ended: its inputs are theirs, and of an array only what has not succeeded. */
export async function prepareJob(
  store: Store,
  run: WorkloadRun,
  submission: Submission,
  job: string,
): Promise<PreparedJob> {
  const { submitted, source, needs } = submission;
  const ends = new Map<string, WorkloadJobEnd>();
  for (const name of [job, ...needs[job]!]) {
    const end = await readEnd(store, run, name);
    if (end) ends.set(name, end);
  }
  const { spec } = submitted;
  const asked = spec.jobs[job]!;
  const key = workloadIds.job(run, job);
  const compiled = jobSpecOf(source, job, key);

  const channels: Record<string, ArtifactFile[]> = {};
  for (const { channel, files } of channelsOf(submitted, job))
    channels[channel] = await getJson(store, FileListDocument, files);
  for (const other of Object.keys(asked.needs)) {
    const output = ends.get(other)?.output ?? null;
    channels[channelOfJob(other)] = output === null ? [] : await getJson(store, FileListDocument, output);
  }
  const script = submitted.scripts[job];
  if (script) {
    const sizeBytes = await store.blobs.sizeBytes(script.digest);
    channels[scriptChannel] = [{ path: script.file, digest: script.digest, sizeBytes }];
  }

  const before = compiled.array ? tasksBefore(submission, ends, job) : null;
  const array = compiled.array && (await arrayLeft(store, submission, ends, job, compiled.array, before));
  const { asked: resources, max: maxResources } = resourcesOf(asked);
  const { partitions, retries } = asked;
  return {
    ...{ job, key, resources, maxResources },
    specDigest: await putJson(store, JobSpec, { ...compiled, channels, ...(array && { array }) }),
    queue: runsOnOf(spec, asked) === 'local' ? 'gpu' : 'hpc',
    firstAttempt: (ends.get(job)?.lastAttempt ?? 0) + 1,
    ...(array && { array: true as const }),
    ...(before && { tasksBefore: before }),
    ...(partitions && runsOnOf(spec, asked) !== 'local' && { partitions }),
    ...(retries && { retries }),
  };
}

/** How an array's tasks stood in an earlier round, if what it reads is still the same. */
function tasksBefore({ submitted, identityOf }: Submission, ends: Ends, job: string): Digest | null {
  const end = ends.get(job);
  if (!end?.tasks || end.identity !== identityOf(job)) return null;
  // Pairs stay as they were, whatever became of other pairs; anything else that ran again gives all tasks new input.
  const same = Object.entries(submitted.spec.jobs[job]!.needs).every(
    ([other, how]) => how === 'each' || (ends.get(other)?.endedAt ?? '') < end.endedAt,
  );
  return same ? end.tasks.manifest : null;
}

async function arrayLeft(
  store: Store,
  { submitted }: Submission,
  ends: Ends,
  job: string,
  array: NonNullable<JobSpec['array']>,
  before: Digest | null,
): Promise<NonNullable<JobSpec['array']>> {
  const wanted = new Set(taskNumbers(array.tasks));
  for (const [other, how] of Object.entries(submitted.spec.jobs[job]!.needs)) {
    const pairs = how === 'each' ? ends.get(other)?.tasks : undefined;
    if (!pairs) continue;
    for (const { task, state } of (await getJson(store, ArrayManifest, pairs.manifest)).tasks)
      if (state !== 'succeeded') wanted.delete(task);
  }
  if (before !== null)
    for (const { task, state } of (await getJson(store, ArrayManifest, before)).tasks)
      if (state === 'succeeded') wanted.delete(task);
  if (wanted.size === 0) throw new InvalidInput(`job ${job}: no task is left to run`);
  return { tasks: tasksText([...wanted].sort((a, b) => a - b)), atOnce: Math.min(array.atOnce, wanted.size) };
}

/** The newest attempt of a job that was placed; 0 when there is none. */
export async function newestAttempt(store: Store, run: WorkloadRun, job: string): Promise<number> {
  const prefix = `${refNames.job(workloadIds.job(run, job))}/`;
  let newest = 0;
  for await (const name of store.refs.list(prefix)) newest = Math.max(newest, Number(name.slice(prefix.length)) || 0);
  return newest;
}
