import { stat } from 'node:fs/promises';
import type { DescribeTrainingJobResponse } from '@aws-sdk/client-sagemaker';
import type { ArtifactFile, Digest } from '../../contracts/digest.ts';
import type { JobSpec } from '../../contracts/job.ts';
import type { SageMakerInstance, SageMakerTarget } from '../../contracts/sagemaker-target.ts';
import { putFolder } from '../../store/folders.ts';
import type { Store } from '../../store/types.ts';
import { InvalidJob, JobConflict } from '../errors.ts';
import type { WrapperLimits } from '../local/launch.ts';
import { resolveSecrets, type SecretSource } from '../secrets.ts';
import { fittingInstances } from './instances.ts';
import type { JobBucket } from './job-bucket.ts';
import { foundNoCapacity } from './judge.ts';
import type { LaunchRecord, StagedFile } from './launch-record.ts';
import {
  checkpointChannel,
  codeChannel,
  type JobKeys,
  previousAttempt,
  secretsVariable,
  specVariable,
} from './names.ts';
import { createTrainingJobInput, noInstance } from './request.ts';
import { type SealedSecrets, sealSecrets } from './sealed-secrets.ts';
import type { TrainingApi } from './training-api.ts';

export interface SubmissionDeps {
  target: SageMakerTarget;
  training: TrainingApi;
  bucket: JobBucket;
  /** Puts the program's folder into the store. */
  store: Pick<Store, 'blobs'>;
  /** Where a blob lies in the bucket of the jobs. */
  keyOfBlob: (digest: Digest) => string;
  secrets: SecretSource;
  limits: WrapperLimits;
  /** The launcher as one file, built once. */
  launcher: () => Promise<Uint8Array>;
  nameOf: (jobName: string) => string;
  log: (event: string, fields: Record<string, string | number>) => void;
}

/** How a job ended that AWS never took. */
export interface RefusalRecord {
  reason: string;
  at: string;
}

/**
 * At most one training job for a job. Every step may be the last one of this process; the next submit goes on:
 *
 *     launch/launch.json   what the name means      exclusive: another spec is a conflict before AWS is asked
 *     (everything else)    may be written twice, with the same bytes
 *     CreateTrainingJob    the name is the token    ResourceInUse is looked at: ours is adopted, another's a conflict
 *     refused.json         no instance type was allowed: the attempt ends there, and the next one asks again
 *
 * Throws `JobConflict`, `InvalidJob`, `AwsRefused`, `AwsUnavailable`.
 */
export async function submitTraining(
  deps: SubmissionDeps,
  spec: JobSpec,
  specDigest: Digest,
  name: string,
  keys: JobKeys,
): Promise<void> {
  const { target, training, bucket, log } = deps;
  const event = (what: string, fields = {}): void => log(what, { job: spec.name, training: name, ...fields });
  if (fittingInstances(target.instances, spec.resources).length === 0) throw noInstance(spec, target);
  const files = await channelFiles(deps, spec);
  const { record, isNew } = await recordLaunch(deps, spec, specDigest, keys, files);
  event('job.recorded');
  if (await isSettled(deps, record, isNew, name, keys)) return;

  const channels = await stage(deps, record, keys);
  const sealed = await stageSecrets(deps, spec, keys);
  event('job.staged');
  const instances = fittingInstances(target.instances, spec.resources, await withoutCapacity(deps, spec));
  const made = await create(instances);
  if (made !== 'ours' && sealed) await bucket.remove(keys.secrets(sealed.id));
  if (made === 'refused') return;
  event(made === 'ours' ? 'job.created' : 'job.adopted');
  // A cancel that came between the look and the create found no job to stop.
  if (await bucket.read(keys.cancelled)) await training.stop(name);

  async function create(candidates: readonly SageMakerInstance[]): Promise<'ours' | 'adopted' | 'refused'> {
    const refusals: string[] = [];
    for (const instance of candidates) {
      const secrets = sealed?.opener;
      const parts = { name, spec, specDigest, target, instance, bucket: bucket.name, keys, channels };
      event('job.creating', { instance: instance.type });
      const creation = await training.create(
        createTrainingJobInput({ ...parts, ...(secrets !== undefined && { secrets }) }),
      );
      if (creation.kind === 'created') return 'ours';
      if (creation.kind === 'inUse') return await adopt(deps, spec, specDigest, name, sealed);
      event('job.noQuota', { instance: instance.type });
      refusals.push(creation.why);
    }
    const refusal: RefusalRecord = { reason: refusals.join('; '), at: new Date().toISOString() };
    await bucket.putOnce(keys.refused, JSON.stringify(refusal));
    return 'refused';
  }
}

/** The name is taken: by this job (a lost reply, a submitter that was killed, one that was quicker), or it is a conflict. */
async function adopt(
  { training }: SubmissionDeps,
  spec: JobSpec,
  specDigest: Digest,
  name: string,
  sealed: SealedSecrets | undefined,
): Promise<'ours' | 'adopted'> {
  const job = await training.describe(name);
  if (job) sameSpec(job, { name: spec.name, specDigest });
  return sealed !== undefined && job?.Environment?.[secretsVariable] === sealed.opener ? 'ours' : 'adopted';
}

/** The hash of the spec is the job's own: in its environment, for us, and in its tags, for people. Throws `JobConflict`. */
export function sameSpec(
  { TrainingJobName: training, Environment: environment }: DescribeTrainingJobResponse,
  { name, specDigest }: { name: string; specDigest: Digest },
): void {
  const found = environment?.[specVariable];
  if (found === specDigest) return;
  throw new JobConflict(
    `job ${name}: the training job ${training} ${found === undefined ? 'is not ours' : `has spec ${found}`}, and this one is ${specDigest}`,
  );
}

/** Whether there is nothing left to do: it was created, cancelled before that, or refused. */
async function isSettled(
  { training, bucket }: SubmissionDeps,
  { spec, specDigest }: LaunchRecord,
  isNew: boolean,
  name: string,
  keys: JobKeys,
): Promise<boolean> {
  // A withdrawal may have come before the first submit.
  if (await bucket.read(keys.cancelled)) return true;
  if (isNew) return false;
  if (await bucket.read(keys.refused)) return true;
  const job = await training.describe(name);
  if (!job) return false;
  sameSpec(job, { name: spec.name, specDigest });
  return true;
}

/** The record that stands, mine or one of an earlier submit. Throws `JobConflict` for another spec. */
async function recordLaunch(
  { bucket, target, limits }: SubmissionDeps,
  spec: JobSpec,
  specDigest: Digest,
  keys: JobKeys,
  files: LaunchRecord['files'],
): Promise<{ record: LaunchRecord; isNew: boolean }> {
  const mine: LaunchRecord = {
    specDigest,
    spec,
    submittedAt: new Date().toISOString(),
    files,
    bringsCode: target.code === 'upload',
    limits,
  };
  if (await bucket.putOnce(keys.record, JSON.stringify(mine))) return { record: mine, isNew: true };
  const first = await bucket.read<LaunchRecord>(keys.record);
  if (first?.specDigest !== specDigest)
    throw new JobConflict(`job ${spec.name} exists with spec ${first?.specDigest}, and this one is ${specDigest}`);
  return { record: first, isNew: false };
}

/** Files of every channel that the container gets, where their bytes lie in the store. */
async function channelFiles(
  { target, store, keyOfBlob }: SubmissionDeps,
  spec: JobSpec,
): Promise<LaunchRecord['files']> {
  const staged = (files: readonly ArtifactFile[]): StagedFile[] =>
    files.map((file) => ({ ...file, key: keyOfBlob(file.digest) }));
  return {
    ...Object.fromEntries(Object.entries(spec.channels).map(([channel, files]) => [channel, staged(files)])),
    ...(spec.checkpoint && { [checkpointChannel]: staged(spec.checkpoint) }),
    ...(target.code === 'upload' && { [codeChannel]: staged(await programFolder(store, spec)) }),
  };
}

async function programFolder(store: Pick<Store, 'blobs'>, { name, program, workingDirectory }: JobSpec) {
  const outside = program.find((part) => part === '..' || part.startsWith('../'));
  if (outside !== undefined)
    throw new InvalidJob(
      `job ${name}, program: ${outside} lies outside ${workingDirectory}, and only that folder goes to SageMaker; move it there, or put the program into the image and say "code: image" in the target`,
    );
  if (!(await stat(workingDirectory).catch(() => undefined))?.isDirectory())
    throw new InvalidJob(`job ${name}, workingDirectory ${workingDirectory}: no such folder on this worker`);
  // What tools keep beside a program is none of it: .git, .venv, and our own state in .goto3, which changes all the time.
  return await putFolder(store, workingDirectory, (name) => name.startsWith('.'));
}

/** Launcher and manifests; returns the channels that have bytes. S3 has nothing to list for an empty one. */
async function stage({ bucket, launcher }: SubmissionDeps, { files }: LaunchRecord, keys: JobKeys): Promise<string[]> {
  await bucket.put(keys.launcher, await launcher());
  const channels: string[] = [];
  for (const [channel, list] of Object.entries(files)) {
    const blobs = [...new Set(list.filter(({ sizeBytes }) => sizeBytes > 0).map(({ key }) => key))];
    if (blobs.length === 0) continue;
    // API_S3DataSource, ManifestFile: a prefix, then the keys below it; the files appear under these keys.
    await bucket.put(keys.manifest(channel), JSON.stringify([{ prefix: `s3://${bucket.name}/` }, ...blobs]));
    channels.push(channel);
  }
  return channels;
}

/** A new object for each submit: the key that opens it is in that submit's request alone. */
async function stageSecrets(
  { bucket, secrets }: SubmissionDeps,
  spec: JobSpec,
  keys: JobKeys,
): Promise<SealedSecrets | undefined> {
  const values = await resolveSecrets(spec.environment, secrets);
  if (Object.keys(values).length === 0) return undefined;
  const sealed = sealSecrets(values);
  await bucket.put(keys.secrets(sealed.id), sealed.bytes);
  return sealed;
}

/** The instance type on which the attempt before found no capacity. */
async function withoutCapacity({ training, nameOf }: SubmissionDeps, spec: JobSpec): Promise<string | undefined> {
  const before = previousAttempt(spec.name);
  const job = before === undefined ? undefined : await training.describe(nameOf(before));
  return job && foundNoCapacity(job) ? job.ResourceConfig?.InstanceType : undefined;
}
