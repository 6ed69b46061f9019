import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type ExitRecord, type JobRecord, jobFolderAt, readControlFile } from '../../../../jobs/local/job-folder.ts';

export interface JobsDone {
  /** Fine-tunes that ended well. */
  done: number;
  /** What ran a second time, in words. */
  twice: string[];
}

interface Attempt {
  step: string;
  name: string;
  succeeded: boolean;
}

/** What the job folders say: a job that was claimed by two wrappers, or one step that succeeded in two attempts, ran twice. */
export async function jobsDone(jobsFolder: string): Promise<JobsDone> {
  const attempts: Attempt[] = [];
  const twice: string[] = [];
  for (const name of await readdir(jobsFolder).catch(() => [])) {
    const folder = jobFolderAt(join(jobsFolder, name));
    const record = await readControlFile<JobRecord>(folder.record).catch(() => undefined);
    if (!record) continue;
    const job = record.spec.name;
    const claims = (await readdir(folder.path)).filter((file) => /^claim-\d+\.json$/.test(file)).length;
    if (claims > 1) twice.push(`${job} was claimed ${claims} times`);
    const exit = await readControlFile<ExitRecord>(folder.exit);
    attempts.push({ step: job.slice(0, job.lastIndexOf('/')), name: job, succeeded: exit?.state === 'succeeded' });
  }
  const successes = new Map<string, string[]>();
  for (const { step, name, succeeded } of attempts)
    if (succeeded) successes.set(step, [...(successes.get(step) ?? []), name]);
  for (const [step, names] of successes)
    if (names.length > 1) twice.push(`${step} succeeded in ${names.length} attempts`);
  return { done: successes.size, twice };
}

/** Attempts that a step took, by its folders. */
export async function attemptsOf(jobsFolder: string, step: string): Promise<number> {
  let attempts = 0;
  for (const name of await readdir(jobsFolder).catch(() => [])) {
    const record = await readControlFile<JobRecord>(jobFolderAt(join(jobsFolder, name)).record).catch(() => undefined);
    if (record?.spec.name.startsWith(`${step}/`)) attempts += 1;
  }
  return attempts;
}
