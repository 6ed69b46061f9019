import { randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { JobSpec } from '../../contracts/job.ts';
import { makeTaskContainer, makeTaskFolder, taskFolderOf } from '../array/task-folder.ts';
import { classify } from '../classify.ts';
import {
  allowedEnvironment,
  batchEnvironment,
  configFiles,
  containerEnvironment,
  type HostFacts,
  likeBatchEnvironment,
} from '../container-contract.ts';
import { withLauncher, withPlacesFilled } from '../places.ts';
import { resolveProgram, withPriority } from '../program.ts';
import { createHeartbeat, leftPath, readClaim, takeClaim } from './claim.ts';
import { ClaimWatch } from './claim-watch.ts';
import { WrapperFates } from './dead-wrapper.ts';
import { makeRunnable, whyNotRunnable } from './executables.ts';
import { GpuLeases, type LeaseHolder } from './gpu-leases.ts';
import {
  type Claim,
  type ExitRecord,
  isThere,
  type JobFolder,
  type JobRecord,
  jobFolderAt,
  markerVariable,
  readControlFile,
} from './job-folder.ts';
import { claimedWord, duplicateWord, type Launch } from './launch.ts';
import { kernelOomKills, thisProcess } from './processes.ts';
import { publish, publishOnce } from './publish.ts';
import { type ProgramRun, superviseProgram } from './supervise.ts';
import { childrenCpuMs, holdsFile, missingFiles, readFailureFile } from './what-it-left.ts';

const gpuPollMs = 200;
const recordAgainMs = 1_000;
const predecessorPollMs = 500;

/** What became of a wrapper's start. `duplicate`: another has the job. `left`: told to leave, and the batch system decides. */
export type WrappedEnd = ExitRecord['state'] | 'duplicate' | 'left';

/**
 * One small process per job, in its own session, that outlives the worker which started it. It alone takes the job's
 * claim, runs the program and records its end (DESIGN §4). @param answer is told once, before anything runs
 */
export async function runWrappedJob(launch: Launch, answer: (word: string) => void): Promise<WrappedEnd> {
  const whole = jobFolderAt(launch.folder);
  const folder = launch.task === undefined ? whole : taskFolderOf(whole, launch.task);
  const { spec } = (await readControlFile<JobRecord>(folder.record))!;
  if (launch.task !== undefined) {
    // All its tasks have ended, and their claims may be gone by now.
    if (await isThere(whole.exit)) {
      answer(duplicateWord);
      return 'duplicate';
    }
    await makeTaskFolder(folder);
  }
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
    return 'duplicate';
  }
  const watch = new ClaimWatch(folder, { ...launch.limits, claimNumber: claim.number });
  await createHeartbeat(folder);
  answer(claimedWord);
  if (launch.task !== undefined) await makeTaskContainer(folder);
  const exit = await runJob(launch, folder, spec, mine, claim.previous, watch).catch((error: unknown) => {
    console.error(error);
    return ended({
      state: 'failed',
      failureClass: 'infrastructure',
      reason: `the job's wrapper failed: ${String(error)}`,
    });
  });
  const end = await recordEnd(folder, exit, mine, claim.number);
  watch.close();
  return end;
}

/**
 * A batch system that ends a wrapper may start it again, and whoever took the claim over is the job now: in both cases the
 * end is not this wrapper's to tell, and it only leaves word that nothing of it runs any more.
 */
async function recordEnd(
  folder: JobFolder,
  exit: ExitRecord,
  { batchJob }: Claim,
  claimNumber: number,
): Promise<WrappedEnd> {
  const superseded = batchJob !== undefined && (await readClaim(folder))?.number !== claimNumber;
  const toldToLeave = batchJob !== undefined && exit.failureClass === 'preempted';
  if (!superseded && !toldToLeave) {
    await recordExit(folder, exit);
    return exit.state;
  }
  await publishOnce(leftPath(folder, claimNumber), JSON.stringify(exit));
  return 'left';
}

/** A full disk delays the record, and the claim is renewed meanwhile: a result must not be lost for a moment's trouble. */
async function recordExit(folder: JobFolder, exit: ExitRecord): Promise<void> {
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
  if (previous) await outlive(previous, folder, fates, watch);
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
    missing: missingFiles(folder.container.outputData, spec.leaves ?? []),
    leftWhatIsExpected: holdsFile(spec.expects === 'model' ? folder.container.model : folder.container.outputData),
    kernelOomKills: kernelOomKills() - oomKillsBefore,
  });
  return ended({ ...outcome, ...(run && measurementsOf(run)) });
}

/**
 * No two programs of one job at once: what the earlier start left on this machine is killed; one on another machine is
 * given the time in which it must have killed its own program, unless it has said that it left. If it recorded an end
 * meanwhile, that end stands.
 */
async function outlive(previous: Claim, folder: JobFolder, fates: WrapperFates, watch: ClaimWatch): Promise<void> {
  const number = (await readClaim(folder))!.number - 1;
  while (!watch.stopped && !(await isThere(leftPath(folder, number)))) {
    if ((await fates.of(folder, previous)).fate === 'gone') break;
    await sleep(predecessorPollMs);
  }
  if (await isThere(folder.exit)) watch.stop({ why: 'claimLost', detail: 'the job has ended already' });
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
  if (spec.resources.gpus === 0) return [];
  if (!launch.gpuLeases) return undefined;
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
  asked: JobSpec,
  marker: string,
  devices: string[] | undefined,
  watch: ClaimWatch,
): Promise<ProgramRun> {
  const spec = withPlacesFilled(asked, folder.container, launch.task);
  const host: HostFacts = {
    currentHost: launch.host,
    hosts: launch.hosts ?? [launch.host],
    networkInterface: 'lo',
    ...(devices && { devices }),
  };
  // Where a batch system places the job, nobody knew the host when the inputs were staged.
  if (launch.batchJob || launch.task !== undefined)
    for (const [name, content] of Object.entries(configFiles(spec, host)))
      await publish(join(folder.container.config, name), content);
  const environment: Record<string, string> = {
    ...allowedEnvironment(process.env),
    ...(launch.batchJob ? batchEnvironment(process.env) : likeBatchEnvironment(spec, launch.task)),
    ...Object.fromEntries(
      Object.entries(spec.environment).filter((e): e is [string, string] => typeof e[1] === 'string'),
    ),
    ...launch.secrets,
    ...containerEnvironment(spec, folder.container, host),
    [markerVariable]: marker,
  };
  const program = resolveProgram(spec.program, spec.workingDirectory, { node: process.execPath, ...launch.tools });
  await makeRunnable(program[0]!, folder.container.data);
  const argv = withLauncher(program, spec);
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
