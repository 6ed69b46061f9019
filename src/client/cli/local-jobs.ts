import { readdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { JobRef, JobRunner } from '../../contracts/job.ts';
import { isJobOf, jobKeyForms, parseJobKey } from '../../contracts/job-keys.ts';
import { machineName } from '../../contracts/names.ts';
import { taskNumbers, tasksText } from '../../contracts/workload-array.ts';
import { allowedEnvironment } from '../../jobs/container-contract.ts';
import { type JobRecord, jobFolderAt, readControlFile } from '../../jobs/local/job-folder.ts';
import { createLocalRunner } from '../../jobs/local/runner.ts';
import { noId } from '../../jobs/slurm/job-states.ts';
import { openTransport } from '../../jobs/slurm/open.ts';
import { createSlurmRunner } from '../../jobs/slurm/runner.ts';
import { readAccepted } from '../../jobs/slurm/submission.ts';
import { type Environment, inheritedEnvironment } from '../../stack/environment.ts';
import { stateLayout } from '../../stack/layout.ts';
import { readTargets } from '../../stack/targets.ts';
import { InvalidArgument, NotFoundError } from '../errors.ts';

export interface LocalJob {
  ref: JobRef;
  runner: JobRunner;
  record: JobRecord;
  /** `<loop>/<n>/<step>` or `workload/<workload>/<key>/<job>` */
  key: string;
  attempt: number;
}

/** Jobs that this machine can look at: the local runner's in the state folder, and those of Slurm on shared folders. */
export interface LocalJobs {
  /** Jobs of `<loop>`, `<workload>` or `<workload>/<key>` in the order in which they were submitted. */
  list(owner: string): Promise<LocalJob[]>;
  /**
   * The job of a key (contracts/job-keys), without an attempt the newest one.
   * @param task the newest attempt with this task: a retry of an array has only those that failed. @throws NotFoundError
   */
  find(name: string, task?: number): Promise<LocalJob>;
}

export function localJobs(environment: Environment): LocalJobs {
  const { jobs: jobsFolder, home } = stateLayout(environment.home);
  const unused = (what: string) => (): never => {
    throw new Error(`the command line starts no job, so it has no ${what}`);
  };
  const hostEnvironment = inheritedEnvironment();
  const channels = { materialise: unused('channels') };
  const secrets = { resolve: unused('secrets') };
  const local: Place = {
    folder: jobsFolder,
    runner: createLocalRunner({
      jobsFolder,
      host: machineName(hostname()),
      channels,
      secrets,
      gpuLeases: { folder: join(home, 'gpu-leases'), devices: [] },
      hostEnvironment,
    }),
    externalId: async (path) => path,
  };
  const places = async (): Promise<Place[]> => {
    const { slurm } = await readTargets(environment.targetsFile);
    return [
      local,
      ...Object.entries(slurm).map(([name, target]): Place => {
        const transport = openTransport(target, secrets, allowedEnvironment(hostEnvironment));
        return {
          folder: target.folder,
          runner: createSlurmRunner({ name, target, transport, channels, secrets, hostEnvironment }),
          externalId: async (path) => `${name}/${(await readAccepted(jobFolderAt(path)))?.id ?? noId}`,
        };
      }),
    ];
  };
  const all = async (belongs: (job: LocalJob) => boolean): Promise<LocalJob[]> => {
    const found = await Promise.all(
      (await places()).map(async (place) =>
        Promise.all((await foldersIn(place.folder)).map((folder) => readJob(place, join(place.folder, folder)))),
      ),
    );
    return found
      .flat()
      .filter((job): job is LocalJob => job !== undefined && belongs(job))
      .sort((a, b) => (a.record.submittedAt < b.record.submittedAt ? -1 : 1));
  };
  return {
    list: (owner) => all(({ key }) => isJobOf(owner, key)),
    async find(name, task) {
      const asked = parseJobKey(name);
      if (!asked) throw new InvalidArgument(`job ${JSON.stringify(name)}: expected ${jobKeyForms}`);
      const { key, owner, attempt } = asked;
      const matching = await all((job) => job.key === key && (attempt === undefined || job.attempt === attempt));
      const newestFirst = matching.sort((a, b) => b.attempt - a.attempt);
      if (newestFirst.length === 0)
        throw new NotFoundError(`no job ${name} on this machine; goto3 job list ${owner} shows what there is`);
      const found = task === undefined ? newestFirst[0] : newestFirst.find((job) => tasksOf(job).includes(task));
      if (found) return found;
      const tasks = tasksText([...new Set(newestFirst.flatMap(tasksOf))].sort((a, b) => a - b));
      throw new NotFoundError(
        tasks === ''
          ? `${name} is no array, so it has no task ${task}`
          : `${name} has no task ${task}: it has ${tasks}`,
      );
    },
  };
}

const tasksOf = ({ record }: LocalJob): number[] => (record.spec.array ? taskNumbers(record.spec.array.tasks) : []);

/** Where a runner keeps its jobs. */
interface Place {
  folder: string;
  runner: JobRunner;
  externalId: (path: string) => Promise<string>;
}

async function foldersIn(jobsFolder: string): Promise<string[]> {
  try {
    return (await readdir(jobsFolder)).filter((name) => /^[0-9a-f]{64}$/.test(name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}

/** Undefined for a folder whose submit has not written its record yet. */
async function readJob({ runner, externalId }: Place, path: string): Promise<LocalJob | undefined> {
  const record = await readControlFile<JobRecord>(jobFolderAt(path).record);
  if (!record) return undefined;
  const { name } = record.spec;
  const [, key, attempt] = /^(.+)\/(\d+)$/.exec(name) ?? [];
  return {
    ref: { runner: runner.kind, name, specDigest: record.specDigest, externalId: await externalId(path) },
    runner,
    record,
    key: key ?? name,
    attempt: Number(attempt ?? 1),
  };
}
