import type { JobSpec, JobStatus, TaskStatus } from '../../contracts/job.ts';
import { type ExitRecord, isThere, type JobFolder, type ProgressRecord, readControlFile } from '../local/job-folder.ts';
import { statusOf } from '../local/job-state.ts';
import { publishOnce } from '../local/publish.ts';
import { hasEnded, tally } from './tally.ts';
import { makeTaskFolder, startedTasks, taskFolderOf, tasksOfSpec } from './task-folder.ts';

/** What only the runner knows of a task that has not recorded its end. */
export interface TaskWords {
  started(folder: JobFolder, task: number): Promise<JobStatus>;
  /** @param noneStarted no task of the array has started yet */
  unstarted(folder: JobFolder, task: number, noneStarted: boolean): Promise<JobStatus>;
}

/**
 * How far an array has come, from the folders of its tasks. What has ended is read once; what has not started costs no file
 * at all: a look at a thousand tasks costs as much as there are running ones.
 */
export class ArrayStates {
  readonly #ended = new Map<string, Map<number, JobStatus>>();

  /** Of the whole; the look that sees the last task's end records the array's. */
  async of(folder: JobFolder, spec: JobSpec, words: TaskWords): Promise<JobStatus> {
    const recorded = await readControlFile<ExitRecord>(folder.exit);
    if (recorded) return { ...statusOf(recorded), ...(await this.#recordedTally(folder)) };
    const tasks = await this.tasks(folder, spec, words);
    const status = tally(tasks);
    if (!hasEnded(status)) return status;
    const { state, failureClass, reason, startedAt, endedAt } = status;
    const exit = {
      state: state as ExitRecord['state'],
      ...(failureClass !== undefined && { failureClass }),
      ...(reason !== undefined && { reason }),
      ...(startedAt !== undefined && { startedAt }),
      endedAt: endedAt ?? new Date().toISOString(),
    };
    await publishOnce(folder.progress, JSON.stringify({ ...status.progress, tasks: status.tasks }));
    await publishOnce(folder.exit, JSON.stringify(exit));
    this.#ended.delete(folder.path);
    return status;
  }

  async tasks(folder: JobFolder, spec: JobSpec, words: TaskWords): Promise<TaskStatus[]> {
    const over = await readControlFile<ExitRecord>(folder.exit);
    const ended = this.#ended.get(folder.path) ?? new Map<number, JobStatus>();
    if (!over) this.#ended.set(folder.path, ended);
    const started = await startedTasks(folder);
    const statuses: TaskStatus[] = [];
    for (const task of tasksOfSpec(spec)) {
      const known = ended.get(task);
      // An array that ended before any of its tasks, refused by the cluster say, ended all of them.
      const refused = over && !started.has(task) ? statusOf(over) : undefined;
      const status = known ?? refused ?? (await this.#task(taskFolderOf(folder, task), task, started, words));
      if (!known && hasEnded(status)) ended.set(task, status);
      statuses.push({ ...status, task });
    }
    return statuses;
  }

  async #task(folder: JobFolder, task: number, started: ReadonlySet<number>, words: TaskWords): Promise<JobStatus> {
    if (!started.has(task)) return await words.unstarted(folder, task, started.size === 0);
    const exit = await readControlFile<ExitRecord>(folder.exit);
    if (exit) return statusOf(exit);
    const progress = await readControlFile<ProgressRecord>(folder.progress);
    return { ...(await words.started(folder, task)), ...(progress && { progress }) };
  }

  async #recordedTally(folder: JobFolder): Promise<Partial<JobStatus>> {
    const kept = await readControlFile<ProgressRecord & { tasks: JobStatus['tasks'] }>(folder.progress);
    if (!kept) return {};
    const { tasks, ...progress } = kept;
    return { progress, ...(tasks && { tasks }) };
  }

  /** Tasks that have no end, with the folder in which one can be claimed. */
  async open(folder: JobFolder, spec: JobSpec): Promise<{ task: number; folder: JobFolder; started: boolean }[]> {
    const started = await startedTasks(folder);
    const open = [];
    for (const task of tasksOfSpec(spec)) {
      const own = taskFolderOf(folder, task);
      if (started.has(task) && (await isThere(own.exit))) continue;
      if (!started.has(task)) await makeTaskFolder(own);
      open.push({ task, folder: own, started: started.has(task) });
    }
    return open;
  }
}
