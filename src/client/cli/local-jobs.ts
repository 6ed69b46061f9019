import { readdir } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { JobRef, JobRunner } from '../../contracts/job.ts';
import { machineName } from '../../contracts/names.ts';
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
  /** `<loop>/<n>/<step>` */
  key: string;
  attempt: number;
}

/** Jobs that this machine can look at: the local runner's in the state folder, and those of Slurm on shared folders. */
export interface LocalJobs {
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
