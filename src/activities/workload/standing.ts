import type { Digest } from '../../contracts/digest.ts';
import { SubmittedWorkload, WorkloadJobEnd } from '../../contracts/workload-documents.ts';
import { type WorkloadRun, workloadRefs } from '../../contracts/workload-names.ts';
import { type CompileSource, jobSpecOf } from '../../jobs/workload/compile.ts';
import { levelsOf } from '../../jobs/workload/waves.ts';
import { canonicalBytes, digestOf } from '../../store/canonical-json.ts';
import { getJson } from '../../store/manifests.ts';
import type { Store } from '../../store/types.ts';

/** Refs that are read at the same time. */
const atOnce = 32;

/** What a digest says for ever: the workload, and who its jobs are. */
export interface Submission {
  submitted: SubmittedWorkload;
  source: CompileSource;
  needs: Record<string, string[]>;
  /** Of all that a job is asked to do and reads, but for what other jobs give it. */
  identityOf(job: string): Digest;
}

/** Parsing thousands of jobs for each one that ends would be most of the work. */
const remembered = new Map<Digest, Submission>();
const rememberedSubmissions = 8;

export async function submissionOf(store: Store, specDigest: Digest): Promise<Submission> {
  const known = remembered.get(specDigest);
  if (known) return known;
  const submitted = await getJson(store, SubmittedWorkload, specDigest);
  const source = sourceOf(submitted);
  const identities = new Map<string, Digest>();
  const submission: Submission = {
    submitted,
    source,
    needs: Object.fromEntries(Object.entries(submitted.spec.jobs).map(([name, job]) => [name, Object.keys(job.needs)])),
    identityOf(job) {
      const identity = identities.get(job) ?? computeIdentity(submitted, source, job);
      identities.set(job, identity);
      return identity;
    },
  };
  if (remembered.size >= rememberedSubmissions) remembered.clear();
  remembered.set(specDigest, submission);
  return submission;
}

export interface Standing extends Submission {
  /** Newest end of each job that has one. */
  ends: Map<string, WorkloadJobEnd>;
  /** Jobs that need not run again: they succeeded as they are now, and so did all that they need. */
  done: Set<string>;
}

/** How a run of a workload stands, by the store alone. */
export async function standingOf(store: Store, run: WorkloadRun, specDigest: Digest): Promise<Standing> {
  const submission = await submissionOf(store, specDigest);
  const { needs, identityOf } = submission;
  const ends = await readEnds(store, run);
  const done = new Set<string>();
  for (const [name] of [...levelsOf(needs)].sort(([, a], [, b]) => a - b)) {
    const end = ends.get(name);
    // What it needs will run again, so it reads something else.
    const fresh = needs[name]!.every((other) => done.has(other));
    if (fresh && end?.state === 'succeeded' && end.identity === identityOf(name)) done.add(name);
  }
  return { ...submission, ends, done };
}

const sourceOf = ({ spec, folder, scripts, inputs }: SubmittedWorkload): CompileSource => ({
  spec,
  folder,
  scripts,
  singleFiles: Object.fromEntries(
    Object.entries(inputs).map(([job, byName]) => [
      job,
      Object.fromEntries(
        Object.entries(byName).flatMap(([name, { single }]) => (single === undefined ? [] : [[name, single]])),
      ),
    ]),
  ),
});

function computeIdentity(submitted: SubmittedWorkload, source: CompileSource, job: string): Digest {
  const { partitions, retries, needs } = submitted.spec.jobs[job]!;
  const script = submitted.scripts[job]?.digest ?? null;
  const asked = { spec: jobSpecOf(source, job, 'identity'), script, inputs: submitted.inputs[job] ?? {} };
  // Without keys that are present but undefined.
  return digestOf(canonicalBytes(JSON.parse(JSON.stringify({ ...asked, partitions, retries, needs }))));
}

/** Files of a job's own channels. */
export const channelsOf = (submitted: SubmittedWorkload, job: string): { channel: string; files: Digest }[] =>
  Object.entries(submitted.inputs[job] ?? {}).map(([channel, { files }]) => ({ channel, files }));

/** The newest end of one job. */
export async function readEnd(store: Store, run: WorkloadRun, job: string): Promise<WorkloadJobEnd | undefined> {
  const ref = await store.refs.read(workloadRefs.end(run, job));
  return ref && (await getJson(store, WorkloadJobEnd, ref.digest));
}

export async function readEnds(store: Store, run: WorkloadRun): Promise<Map<string, WorkloadJobEnd>> {
  const prefix = workloadRefs.end(run, '');
  const names: string[] = [];
  for await (const ref of store.refs.list(prefix)) names.push(ref);
  const ends = new Map<string, WorkloadJobEnd>();
  for (let i = 0; i < names.length; i += atOnce)
    await Promise.all(
      names.slice(i, i + atOnce).map(async (name) => {
        const ref = await store.refs.read(name);
        if (ref) ends.set(name.slice(prefix.length), await getJson(store, WorkloadJobEnd, ref.digest));
      }),
    );
  return ends;
}
