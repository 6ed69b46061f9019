import { randomUUID } from 'node:crypto';
import { closeSync, existsSync, readFileSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { JobSpec } from '../../contracts/job.ts';
import { classify } from '../classify.ts';
import { allowedEnvironment, containerEnvironment } from '../container-contract.ts';
import { resolveProgram, withPriority } from '../program.ts';
import { createHeartbeat, takeClaim } from './claim.ts';
import { ClaimWatch } from './claim-watch.ts';
import { WrapperFates } from './dead-wrapper.ts';
import { whyNotRunnable } from './executables.ts';
import { GpuLeases, type LeaseHolder } from './gpu-leases.ts';
import {
  type Claim,
  type ExitRecord,
  type JobFolder,
  type JobRecord,
  jobFolderAt,
  markerVariable,
  readControlFile,
} from './job-folder.ts';
import { claimedWord, duplicateStatus, duplicateWord, type Launch } from './launch.ts';
import { kernelOomKills, thisProcess } from './processes.ts';
import { publishOnce } from './publish.ts';
import { type ProgramRun, superviseProgram } from './supervise.ts';
import { childrenCpuMs, holdsFile, readFailureFile } from './what-it-left.ts';

/**
 * The wrapper: one small process per job, in its own session, that outlives the worker which started it. It alone takes
 * the job's claim, runs the program and records its end (DESIGN §4). It is bundled into one file that needs only Node, so
 * that it starts quickly and a compute node without our packages can run it too.
 */
const gpuPollMs = 200;
const recordAgainMs = 1_000;

async function main(): Promise<void> {
  // When the submitter died before it had written everything, this throws, and no claim is taken.
  const launch = JSON.parse(readFileSync(0, 'utf8')) as Launch;
  const folder = jobFolderAt(launch.folder);
  const { spec } = (await readControlFile<JobRecord>(folder.record))!;
  const mine: Claim = {
    ...thisProcess(launch.host),
    by: 'wrapper',
    marker: randomUUID(),
    renewWithinMs: launch.limits.renewWithinMs,
    ...(launch.batchJob && { batchJob: launch.batchJob }),
    at: new Date().toISOString(),
  };

  const claim = await takeClaim(folder, mine);
  if (!claim.taken) {
    answer(duplicateWord);
    process.exitCode = duplicateStatus;
    return;
  }
  const watch = new ClaimWatch(folder, launch.limits);
  await createHeartbeat(folder);
  answer(claimedWord);
  const exit = await runJob(launch, folder, spec, mine, claim.previous, watch).catch((error: unknown) => {
    console.error(error);
    return ended({
      state: 'failed',
      failureClass: 'infrastructure',
      reason: `the job's wrapper failed: ${String(error)}`,
    });
  });
  await recordEnd(folder, exit);
  watch.close();
}

/** A full disk delays the record, and the claim is renewed meanwhile: a result must not be lost for a moment's trouble. */
async function recordEnd(folder: JobFolder, exit: ExitRecord): Promise<void> {
  for (;;) {
    try {
      await publishOnce(folder.exit, JSON.stringify(exit));
      return;
    } catch (error) {
      console.error(`exit.json: ${(error as Error).message}`);
      if (!existsSync(folder.path)) return;
      await sleep(recordAgainMs);
    }
  }
}

async function runJob(
  launch: Launch,
  folder: JobFolder,
  spec: JobSpec,
  mine: Claim,
  previous: Claim | undefined,
  watch: ClaimWatch,
): Promise<ExitRecord> {
  const fates = new WrapperFates(mine);
  if (previous) await fates.of(folder, previous);
  const devices = await leaseDevices(launch, folder, spec, mine, fates, watch);
  const oomKillsBefore = kernelOomKills();
  const run =
    watch.stopped || devices === 'none'
      ? undefined
      : await startProgram(launch, folder, spec, mine.marker, devices, watch);
  // A request that came after the program had ended stopped nothing.
  const stopped = run ? run.stopped : watch.stopped;
  const outcome = classify({
    ...(stopped && { stopped }),
    ...(run?.notRunnable !== undefined && { notRunnable: run.notRunnable }),
    exitCode: run?.exitCode ?? null,
    signal: run?.signal ?? null,
    failureFile: readFailureFile(folder.container.failureFile),
    stderrTail: run?.stderrTail ?? '',
    expects: spec.expects,
    leftWhatIsExpected: holdsFile(spec.expects === 'model' ? folder.container.model : folder.container.outputData),
    kernelOomKills: kernelOomKills() - oomKillsBefore,
  });
  return ended({ ...outcome, ...(run && measurementsOf(run)) });
}

/** The leased devices; undefined where the batch system hands them out; `none` when the wait was ended by a stop. */
async function leaseDevices(
  launch: Launch,
  folder: JobFolder,
  spec: JobSpec,
  mine: Claim,
  fates: WrapperFates,
  watch: ClaimWatch,
): Promise<string[] | undefined | 'none'> {
  if (!launch.gpuLeases) return undefined;
  if (spec.resources.gpus === 0) return [];
  const leases = new GpuLeases(launch.gpuLeases, (holder) => fates.isHeld(holder, launch.limits.renewWithinMs));
  const { by: _by, renewWithinMs: _renewWithinMs, batchJob: _batchJob, ...identity } = mine;
  const holder: LeaseHolder = { ...identity, job: spec.name, jobFolder: folder.path };
  while (!watch.stopped) {
    const devices = await leases.tryAcquire(spec.resources.gpus, holder);
    if (devices) return devices;
    await sleep(gpuPollMs);
  }
  await leases.withdraw(holder);
  return 'none';
}

async function startProgram(
  launch: Launch,
  folder: JobFolder,
  spec: JobSpec,
  marker: string,
  devices: string[] | undefined,
  watch: ClaimWatch,
): Promise<ProgramRun> {
  const environment: Record<string, string> = {
    ...allowedEnvironment(process.env),
    ...Object.fromEntries(
      Object.entries(spec.environment).filter((e): e is [string, string] => typeof e[1] === 'string'),
    ),
    ...launch.secrets,
    ...containerEnvironment(spec, folder.container, {
      currentHost: launch.host,
      hosts: [launch.host],
      networkInterface: 'lo',
      ...(devices && { devices }),
    }),
    [markerVariable]: marker,
  };
  const argv = resolveProgram(spec.program, spec.workingDirectory, { node: process.execPath, ...launch.tools });
  const problem = whyNotRunnable(argv[0]!, spec.workingDirectory, environment.PATH ?? '');
  if (problem !== undefined)
    return { notRunnable: problem, exitCode: null, signal: null, stderrTail: '', runMs: 0, rssPeakBytes: 0 };
  return await superviseProgram({
    folder,
    spec,
    argv: withPriority(argv, spec.nice, launch.tools),
    environment,
    marker,
    limits: launch.limits,
    watch,
  });
}

function measurementsOf(run: ProgramRun): Partial<ExitRecord> {
  return {
    ...(run.exitCode !== null && { exitCode: run.exitCode }),
    ...(run.signal !== null && { signal: run.signal }),
    ...(run.startedAt !== undefined && { startedAt: run.startedAt }),
    runMs: run.runMs,
    ...(run.rssPeakBytes > 0 && { rssPeakBytes: run.rssPeakBytes }),
    cpuMs: childrenCpuMs(),
  };
}

const ended = (exit: Omit<ExitRecord, 'endedAt'>): ExitRecord => ({ ...exit, endedAt: new Date().toISOString() });

/** To the submitter, if it still listens. Closed at once: the program must not inherit the descriptor. */
function answer(word: string): void {
  try {
    writeSync(3, word);
    closeSync(3);
  } catch (error) {
    if (!['EPIPE', 'EBADF'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

await main();
