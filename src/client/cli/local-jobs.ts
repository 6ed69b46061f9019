import { readdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { JobRef, JobRunner } from '../../contracts/job.ts';
import { machineName } from '../../contracts/names.ts';
import { type JobRecord, jobFolderAt, readControlFile } from '../../jobs/local/job-folder.ts';
import { createLocalRunner } from '../../jobs/local/runner.ts';
import { type Environment, inheritedEnvironment } from '../../stack/environment.ts';
import { stateLayout } from '../../stack/layout.ts';
import { InvalidArgument, NotFoundError } from '../errors.ts';

export interface LocalJob {
  ref: JobRef;
  record: JobRecord;
  /** `<loop>/<n>/<step>` */
  key: string;
  attempt: number;
}

/** Jobs that this machine's local runner keeps in the state folder. */
export interface LocalJobs {
  runner: JobRunner;
  /** Jobs of a loop in the order in which they were submitted. */
  list(loop: string): Promise<LocalJob[]>;
  /** `<loop>/<n>/<step>/<attempt>`, or without the attempt for the newest one. @throws NotFoundError */
  find(name: string): Promise<LocalJob>;
}

export function localJobs(environment: Environment): LocalJobs {
  const { jobs: jobsFolder, home } = stateLayout(environment.home);
  const unused = (what: string) => (): never => {
    throw new Error(`the command line starts no job, so it has no ${what}`);
  };
  const runner = createLocalRunner({
    jobsFolder,
    host: machineName(hostname()),
    channels: { materialise: unused('channels') },
    secrets: { resolve: unused('secrets') },
    gpuLeases: { folder: join(home, 'gpu-leases'), devices: [] },
    hostEnvironment: inheritedEnvironment(),
  });
  const all = async (belongs: (job: LocalJob) => boolean): Promise<LocalJob[]> => {
    const found = await Promise.all((await foldersIn(jobsFolder)).map((folder) => readJob(join(jobsFolder, folder))));
    return found
      .filter((job): job is LocalJob => job !== undefined && belongs(job))
      .sort((a, b) => (a.record.submittedAt < b.record.submittedAt ? -1 : 1));
  };
  return {
    runner,
    list: (loop) => all(({ key }) => key.startsWith(`${loop}/`)),
    async find(name) {
      if (!/^[^/]+\/\d+\/[^/]+(\/\d+)?$/.test(name))
        throw new InvalidArgument(
          `job ${JSON.stringify(name)}: expected <loop>/<n>/<step> or <loop>/<n>/<step>/<attempt>, such as spam-filter/3/train`,
        );
      const matching = await all(({ ref, key }) => ref.name === name || key === name);
      const newest = matching.sort((a, b) => a.attempt - b.attempt).at(-1);
      if (!newest)
        throw new NotFoundError(
          `no job ${name} on this machine; goto3 job list ${name.split('/')[0]} shows what there is`,
        );
      return newest;
    },
  };
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
async function readJob(path: string): Promise<LocalJob | undefined> {
  const record = await readControlFile<JobRecord>(jobFolderAt(path).record);
  if (!record) return undefined;
  const { name } = record.spec;
  const [, key, attempt] = /^(.+)\/(\d+)$/.exec(name) ?? [];
  return {
    ref: { runner: 'local', name, specDigest: record.specDigest, externalId: path },
    record,
    key: key ?? name,
    attempt: Number(attempt ?? 1),
  };
}
