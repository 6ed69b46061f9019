import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobSpec } from '../../contracts/job.ts';
import { taskNumbers } from '../../contracts/workload-array.ts';
import { type JobFolder, jobFolderAt } from '../local/job-folder.ts';

/**
 * A task of an array has a folder of its own for claim, heartbeat, logs and end, and shares the array's inputs. What it
 * leaves lies in a sub-folder of the array's own, by its number, so that an array's outputs are one folder:
 *
 *     tasks/<n>/claim-1.json, exit.json …      ml/output/data/<n>/, ml/model/<n>/, ml/checkpoints/<n>/
 */
export function taskFolderOf(array: JobFolder, task: number): JobFolder {
  const own = jobFolderAt(join(tasksPath(array), String(task)));
  const { container } = array;
  return {
    ...own,
    record: array.record,
    // Slurm writes it, and makes no folders.
    wrapperLog: join(array.logs, `wrapper-${task}.log`),
    container: {
      ...container,
      config: join(own.path, 'config'),
      model: join(container.model, String(task)),
      outputData: join(container.outputData, String(task)),
      failureFile: join(own.path, 'failure'),
      output: own.path,
      checkpoints: join(container.checkpoints, String(task)),
    },
  };
}

const tasksPath = (array: JobFolder): string => join(array.path, 'tasks');

/** Numbers of the tasks that somebody has made a folder for: they have started, or were cancelled. */
export async function startedTasks(array: JobFolder): Promise<Set<number>> {
  const names = await readdir(tasksPath(array)).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return new Set(names.filter((name) => /^\d+$/.test(name)).map(Number));
}

/** Before a claim can be taken. */
export const makeTaskFolder = async ({ path, logs }: JobFolder): Promise<void> => {
  await mkdir(path, { recursive: true });
  await mkdir(logs, { recursive: true });
};

/** What the program writes into; the array's inputs are there already. */
export async function makeTaskContainer({ container }: JobFolder): Promise<void> {
  for (const path of [container.config, container.model, container.outputData, container.checkpoints])
    await mkdir(path, { recursive: true });
}

export const tasksOfSpec = ({ array }: JobSpec): number[] => (array ? taskNumbers(array.tasks) : []);
