import { type JobRef, JobSpec } from '../../contracts/job.ts';
import { unrunnable } from '../container-contract.ts';
import { InvalidJob, JobConflict, JobNotFound } from '../errors.ts';
import { type JobFolder, type JobRecord, jobFolderOf, readControlFile } from './job-folder.ts';
import { publishOnce } from './publish.ts';

/**
 * A spec that can be run. `refusal` is what the runner itself has against it. Throws `InvalidJob`, which names the field.
 */
export function runnableSpec(
  input: JobSpec,
  refusal: (spec: JobSpec) => string | undefined = () => undefined,
): JobSpec {
  const parsed = JobSpec.safeParse(input);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    throw new InvalidJob(`job spec, ${issue.path.join('.') || 'whole'}: ${issue.message}`);
  }
  // Without keys that are present but undefined: they are not JSON, and must not change the digest.
  const spec = JSON.parse(JSON.stringify(parsed.data)) as JobSpec;
  const problem = unrunnable(spec) ?? refusal(spec);
  if (problem !== undefined) throw new InvalidJob(`job ${spec.name}, ${problem}`);
  return spec;
}

/** The first submit of a name decides what it is. Throws `JobConflict` for another spec. */
export async function recordJob(folder: JobFolder, spec: JobSpec, specDigest: JobRecord['specDigest']): Promise<void> {
  const record: JobRecord = { specDigest, spec, submittedAt: new Date().toISOString() };
  if (await publishOnce(folder.record, JSON.stringify(record))) return;
  const first = await readControlFile<JobRecord>(folder.record);
  if (first?.specDigest !== specDigest)
    throw new JobConflict(`job ${spec.name} exists with spec ${first?.specDigest}, and this one is ${specDigest}`);
}

/** The folder of a job that was recorded. `where` ends the message of `JobNotFound`. Throws `JobConflict` too. */
export async function findJob(jobsFolder: string, ref: JobRef, where: string): Promise<JobFolder> {
  const folder = jobFolderOf(jobsFolder, ref.name);
  const record = await readControlFile<JobRecord>(folder.record);
  if (!record) throw new JobNotFound(`no job ${ref.name} on ${where}`);
  if (record.specDigest !== ref.specDigest)
    throw new JobConflict(`job ${ref.name} has spec ${record.specDigest}, and the reference names ${ref.specDigest}`);
  return folder;
}
