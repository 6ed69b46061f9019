import { readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { startedTasks, taskFolderOf } from '../array/task-folder.ts';
import { type ExitRecord, isThere, type JobFolder, jobFolderAt, readControlFile } from './job-folder.ts';

const dayMs = 86_400_000;

/** How long the files of a job that has ended are kept. */
export interface JobRetention {
  /** Inputs, model and checkpoints of a job that succeeded or was cancelled: collected into the store long before. */
  succeededFilesMs: number;
  /** The same of a failed one: the next attempt resumes from its checkpoint, after a person has looked. */
  failedFilesMs: number;
  /** Logs, metrics and progress, of all. */
  logsMs: number;
}

export const defaultJobRetention: JobRetention = {
  succeededFilesMs: 14 * dayMs,
  failedFilesMs: 30 * dayMs,
  logsMs: 90 * dayMs,
};

export interface PruneReport {
  ended: number;
  /** Jobs whose files were removed. */
  files: number;
  /** Jobs whose logs were removed. */
  logs: number;
}

/** Stands beside the job's files while they are removed: half a model must never look like a model. */
const removingFolder = 'removing';

/**
 * Removes what jobs that ended long ago left on this host. A job's record and its end stay for ever, a few kilobytes: its
 * name finds them, so it never runs twice. Killed anywhere, the next call ends the work. Jobs without an end are not
 * touched, whatever became of them.
 */
export async function pruneJobFolders(
  jobsFolder: string,
  { retention = defaultJobRetention, now = new Date() }: { retention?: JobRetention; now?: Date } = {},
): Promise<PruneReport> {
  const report: PruneReport = { ended: 0, files: 0, logs: 0 };
  for (const name of (await readdir(jobsFolder)).filter((entry) => /^[0-9a-f]{64}$/.test(entry))) {
    const folder = jobFolderAt(join(jobsFolder, name));
    const exit = await readControlFile<ExitRecord>(folder.exit);
    if (!exit) continue;
    report.ended += 1;
    const endedForMs = now.getTime() - Date.parse(exit.endedAt);
    if (endedForMs > (exit.state === 'failed' ? retention.failedFilesMs : retention.succeededFilesMs))
      report.files += Number(await removeFiles(folder));
    if (endedForMs > retention.logsMs) report.logs += Number(await removeLogs(folder));
  }
  return report;
}

async function removeFiles({ path, container }: JobFolder): Promise<boolean> {
  const removing = join(path, removingFolder);
  // A run that was killed has left it.
  await rm(removing, { recursive: true, force: true });
  if (!(await isThere(container.root))) return false;
  await rename(container.root, removing);
  await rm(removing, { recursive: true, force: true });
  return true;
}

async function removeLogs(folder: JobFolder): Promise<boolean> {
  const { logs, metrics, progress } = folder;
  if (!(await isThere(logs))) return false;
  // Claims and ends of an array's tasks stay, like those of any job.
  for (const task of await startedTasks(folder))
    await rm(taskFolderOf(folder, task).logs, { recursive: true, force: true });
  for (const path of [metrics, progress, logs]) await rm(path, { recursive: true, force: true });
  return true;
}
