import { createHash, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type { Digest } from '../../src/contracts/digest.ts';
import type { JobRef, JobRunner } from '../../src/contracts/job.ts';
import { SlurmTarget } from '../../src/contracts/slurm-target.ts';
import { readClaim } from '../../src/jobs/local/claim.ts';
import {
  type Claim,
  type JobFolder,
  jobFolderOf,
  type ProgramRecord,
  readControlFile,
} from '../../src/jobs/local/job-folder.ts';
import type { WrapperLimits } from '../../src/jobs/local/launch.ts';
import { signalProcess } from '../../src/jobs/local/program-processes.ts';
import { channelsFromBlobs } from '../../src/jobs/materialise.ts';
import type { Patience } from '../../src/jobs/slurm/judge.ts';
import { openTransport } from '../../src/jobs/slurm/open.ts';
import { createSlurmRunner, type SlurmRunnerOptions } from '../../src/jobs/slurm/runner.ts';
import type { RunnerFixture } from '../jobs/conformance.ts';
import { eventually } from '../jobs/eventually.ts';
import type { Cluster } from '../support/slurm/cluster.ts';

export const limits: WrapperLimits = {
  graceMs: 2_000,
  renewWithinMs: 3_000,
  watchEveryMs: 20,
  memoryCheckEveryMs: 50,
  logCapBytes: 2 ** 20,
};
export const patience: Patience = { settleMs: 1_000, returnMs: 5_000, absentMs: 5_000 };

export type TransportKind = 'cli' | 'rest';

export interface SlurmFixture extends RunnerFixture {
  options: SlurmRunnerOptions;
  runnerWith(more: Partial<SlurmRunnerOptions>): JobRunner;
  folderOf(ref: Pick<JobRef, 'name'>): JobFolder;
  claimOf(ref: Pick<JobRef, 'name'>): Promise<Claim>;
}

/** The commands of the command-line transport find SLURM_CONF in the target, and nothing of ours. */
const commandEnvironment = (): Record<string, string> => ({
  PATH: process.env.PATH ?? '',
  HOME: userInfo().homedir,
  USER: userInfo().username,
});

export async function setUpSlurm(
  cluster: Cluster,
  kind: TransportKind,
  more: { commands?: string; partition?: string } = {},
): Promise<SlurmFixture> {
  const root = await mkdtemp(join(cluster.shared, 'fixture-'));
  const programsFolder = join(root, 'programs');
  await mkdir(programsFolder);
  const blobs = new Map<string, Buffer>();
  const tokenSecret = randomBytes(24).toString('hex');
  const target = SlurmTarget.parse({
    folder: join(root, 'jobs'),
    transport:
      kind === 'cli'
        ? { kind, conf: cluster.conf, ...(more.commands !== undefined && { commands: more.commands }) }
        : { kind, url: cluster.restUrl, user: userInfo().username, key: { file: cluster.jwtKey } },
    ...(more.partition !== undefined && { partition: more.partition }),
    unclearWaitMs: 2_000,
    poll: { fromMs: 200, toMs: 2_000 },
  });
  const secrets = { resolve: async () => tokenSecret };
  const options = (): SlurmRunnerOptions => ({
    name: 'lab',
    target,
    transport: openTransport(target, secrets, commandEnvironment()),
    channels: channelsFromBlobs({ get: async (digest) => Readable.from([blobs.get(digest)!]) }),
    secrets,
    hostEnvironment: { ...process.env, AWS_SECRET_ACCESS_KEY: 'of the worker alone' },
    limits,
    patience,
  });
  const first = options();
  const folderOf = (ref: Pick<JobRef, 'name'>) => jobFolderOf(target.folder, ref.name);
  return {
    options: first,
    runner: createSlurmRunner(first),
    anotherRunner: () => createSlurmRunner(options()),
    runnerWith: (changes) => createSlurmRunner({ ...options(), ...changes }),
    folderOf,
    claimOf: (ref) => eventually('a claim', async () => (await readClaim(folderOf(ref)))?.claim),
    programsFolder,
    tokenSecret,
    put: async (bytes) => {
      const digest: Digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
      blobs.set(digest, Buffer.from(bytes));
      return digest;
    },
    killProgram: async (ref) =>
      signalProcess(
        await eventually('a program', () => readControlFile<ProgramRecord>(folderOf(ref).program)),
        'SIGKILL',
      ),
    // More than half of each of two nodes, twice.
    scarce: { gpus: 0, cpus: 16, memoryBytes: 40 * 2 ** 30, timeLimitMs: 60_000 },
    hiddenVariable: 'AWS_SECRET_ACCESS_KEY',
    filesFolder: target.folder,
    stop: async () => {},
  };
}
