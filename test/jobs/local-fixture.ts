import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { Digest } from '../../src/contracts/digest.ts';
import type { JobRef, JobRunner } from '../../src/contracts/job.ts';
import { readClaim } from '../../src/jobs/local/claim.ts';
import {
  type Claim,
  type JobFolder,
  jobFolderAt,
  jobFolderOf,
  type ProgramRecord,
  readControlFile,
} from '../../src/jobs/local/job-folder.ts';
import type { WrapperLimits } from '../../src/jobs/local/launch.ts';
import { liveness, thisMachine } from '../../src/jobs/local/processes.ts';
import { killProgram, signalProcess } from '../../src/jobs/local/program-processes.ts';
import { createLocalRunner, type LocalRunnerOptions } from '../../src/jobs/local/runner.ts';
import { channelsFromBlobs } from '../../src/jobs/materialise.ts';
import type { RunnerFixture } from './conformance.ts';
import { eventually } from './eventually.ts';

export const limits: WrapperLimits = {
  graceMs: 2_000,
  renewWithinMs: 30_000,
  watchEveryMs: 20,
  memoryCheckEveryMs: 50,
  logCapBytes: 2 ** 20,
};

export interface LocalFixture extends RunnerFixture {
  options: LocalRunnerOptions;
  runnerWith(more: Partial<LocalRunnerOptions>): JobRunner;
  folderOf(ref: Pick<JobRef, 'name'>): JobFolder;
  claimOf(ref: Pick<JobRef, 'name'>): Promise<Claim>;
  programOf(ref: Pick<JobRef, 'name'>): Promise<ProgramRecord>;
}

export async function setUpLocal(): Promise<LocalFixture> {
  const root = await mkdtemp(join(tmpdir(), 'goto3-jobs-'));
  const programsFolder = join(root, 'programs');
  await mkdir(programsFolder);
  const blobs = new Map<string, Buffer>();
  const tokenSecret = randomBytes(24).toString('hex');
  const options: LocalRunnerOptions = {
    jobsFolder: join(root, 'jobs'),
    host: 'host-a',
    channels: channelsFromBlobs({ get: async (digest) => Readable.from([blobs.get(digest)!]) }),
    secrets: { resolve: async () => tokenSecret },
    gpuLeases: { folder: join(root, 'gpus'), devices: ['0', '1'] },
    hostEnvironment: { ...process.env, AWS_SECRET_ACCESS_KEY: 'of the worker alone' },
    limits,
  };
  const folderOf = (ref: Pick<JobRef, 'name'>) => jobFolderOf(options.jobsFolder, ref.name);
  const fixture: LocalFixture = {
    options,
    runner: createLocalRunner(options),
    anotherRunner: () => createLocalRunner(options),
    runnerWith: (more) => createLocalRunner({ ...options, ...more }),
    folderOf,
    claimOf: (ref) => eventually('a claim', async () => (await readClaim(folderOf(ref)))?.claim),
    programOf: (ref) => eventually('a program', () => readControlFile<ProgramRecord>(folderOf(ref).program)),
    programsFolder,
    tokenSecret,
    put: async (bytes) => {
      const digest: Digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
      blobs.set(digest, Buffer.from(bytes));
      return digest;
    },
    killProgram: async (ref) => signalProcess(await fixture.programOf(ref), 'SIGKILL'),
    scarce: { gpus: 2, cpus: 1, memoryBytes: 2 ** 30, timeLimitMs: 60_000 },
    hiddenVariable: 'AWS_SECRET_ACCESS_KEY',
    filesFolder: options.jobsFolder,
    stop: async () => {
      await endAllJobs(options);
      await rm(root, { recursive: true });
    },
  };
  return fixture;
}

/** Nothing of a test outlives it, also when the test failed. */
async function endAllJobs(options: LocalRunnerOptions): Promise<void> {
  const here = thisMachine(options.host);
  const entries = await readdir(options.jobsFolder, { withFileTypes: true });
  for (const { name } of entries.filter((entry) => entry.isDirectory())) {
    const folder = jobFolderAt(join(options.jobsFolder, name));
    const claim = (await readClaim(folder))?.claim;
    if (claim?.by !== 'wrapper') continue;
    if (liveness(claim, here) === 'alive') signalProcess(claim, 'SIGTERM');
    await eventually('the wrapper to end', () => liveness({ ...claim, host: here.host }, here) === 'dead');
    await killProgram({ marker: claim.marker });
  }
}
