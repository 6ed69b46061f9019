import { createHash } from 'node:crypto';

/** Lengths of CreateTrainingJob: TrainingJobName ≤ 63, `[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}`. */
const longestName = 63;
const hashDigits = 24;

/**
 * The training job of a job: the same for the same job of the same store, and for no other, as the name is the only
 * idempotency token that CreateTrainingJob has. What people read comes first; 96 bits of hash make it unique. Pure.
 *
 * @param staging where the store keeps its jobs: two stores in one account may have loops of one name
 */
export function trainingJobName(staging: string, jobName: string): string {
  const hash = createHash('sha256').update(`${staging}\0${jobName}`).digest('hex').slice(0, hashDigits);
  const readable = jobName
    .replaceAll(/[^A-Za-z0-9]+/g, '-')
    .slice(0, longestName - hashDigits - 1)
    .replaceAll(/^-+|-+$/g, '');
  return `${readable}-${hash}`;
}

/** `<key>/<attempt>` → `<key>/<attempt − 1>`; undefined for the first attempt and for names without one. Pure. */
export function previousAttempt(jobName: string): string | undefined {
  const [, key, attempt] = /^(.+)\/(\d{1,9})$/.exec(jobName) ?? [];
  return key !== undefined && Number(attempt) > 1 ? `${key}/${Number(attempt) - 1}` : undefined;
}

/** Channels of ours among those of the spec, whose names have no dash. */
export const launchChannel = 'goto3-launch';
export const codeChannel = 'goto3-code';
export const checkpointChannel = 'goto3-checkpoint';

/** Variables that carry what the launcher must be told and what finds the job again. */
export const specVariable = 'GOTO3_SPEC';
export const secretsVariable = 'GOTO3_SECRETS';

/** Keys of one job below `staging`. What is below `launch/` reaches the container. */
export function jobKeys(prefix: string, name: string) {
  const root = `${prefix}${name}/`;
  return {
    root,
    launch: `${root}launch/`,
    /** Created exclusively: the first submit decides what the name means. */
    record: `${root}launch/launch.json`,
    launcher: `${root}launch/launcher.mjs`,
    secrets: (id: string): string => `${root}launch/secrets-${id}`,
    /** Somebody wants it stopped. The launcher looks too, so that a create that comes late runs nothing. */
    cancelled: `${root}launch/cancelled.json`,
    /** AWS will not run it: how the job ended that was never created. */
    refused: `${root}refused.json`,
    manifest: (channel: string): string => `${root}manifests/${channel}.json`,
    checkpoints: `${root}checkpoints/`,
    output: `${root}output`,
    /** SageMaker's own layout below S3OutputPath (dg/model-train-storage). */
    modelArchive: `${root}output/${name}/output/model.tar.gz`,
    dataArchive: `${root}output/${name}/output/output.tar.gz`,
  } as const;
}
export type JobKeys = ReturnType<typeof jobKeys>;
