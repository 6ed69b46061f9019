import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { JobSpec } from '../../contracts/job.ts';
import { formatDuration, formatSize } from '../../contracts/units.ts';
import { ProgressReader } from '../progress.ts';
import { CappedLog } from './capped-log.ts';
import type { ClaimWatch, Stop } from './claim-watch.ts';
import type { JobFolder, ProgramRecord } from './job-folder.ts';
import type { WrapperLimits } from './launch.ts';
import { proportionalBytes, readProcess, residentBytes } from './processes.ts';
import { findProgramProcesses, killProgram, type ProgramTrace, signalProcess } from './program-processes.ts';
import { ProgressFiles } from './progress-files.ts';
import { publish } from './publish.ts';

export interface SuperviseOptions {
  folder: JobFolder;
  spec: JobSpec;
  argv: readonly string[];
  environment: Record<string, string>;
  marker: string;
  limits: WrapperLimits;
  watch: ClaimWatch;
}

export interface ProgramRun {
  /** Why it was never started. */
  notRunnable?: string;
  /** Why it was stopped, if that was before it ended. */
  stopped?: Stop;
  exitCode: number | null;
  signal: NodeJS.Signals | null;
  stderrTail: string;
  startedAt?: string;
  runMs: number;
  rssPeakBytes: number;
}

/**
 * Runs the program in its own session until it and all its descendants are gone: output into capped logs, progress lines
 * into files, limits enforced, a stop of the watch carried out as SIGTERM, grace, SIGKILL.
 */
export async function superviseProgram(options: SuperviseOptions): Promise<ProgramRun> {
  const { folder, spec, argv, environment, marker, limits, watch } = options;
  const output = openOutput(folder, limits.logCapBytes);
  const startedMs = performance.now();
  const startedAt = new Date().toISOString();
  const child = spawn(argv[0]!, argv.slice(1), {
    cwd: spec.workingDirectory,
    env: environment,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  // The program exists; what fails now (too many processes, too many files) is the machine's fault.
  if (child.pid === undefined) throw ((await once(child, 'error')) as [Error])[0];
  const ended = endOf(child);
  output.readFrom(child);
  const leader: ProgramRecord = { pid: child.pid, startTicks: readProcess(child.pid)!.startTicks, startedAt };
  const trace: ProgramTrace = { marker, leader };
  const memory = watchMemory(trace, spec.resources.memoryBytes, limits.memoryCheckEveryMs, watch);
  const clocks = watchClocks(spec, limits.watchEveryMs, startedMs, output.progress, watch);
  const stopping = watchForStop(trace, limits.graceMs, watch);

  let end: End;
  let stopped: Stop | undefined;
  try {
    await publish(folder.program, JSON.stringify(leader));
    end = await ended;
    stopped = watch.stopped;
  } finally {
    clearInterval(clocks);
    stopping.finish();
    memory.finish();
    // A child that outlives its parent would write into a finished job and hold its GPU.
    for (let left = await killProgram(trace); left.length > 0; left = await killProgram(trace))
      console.error(`processes that cannot be killed: ${left.map((p) => p.pid).join(', ')}`);
  }
  const runMs = Math.round(performance.now() - startedMs);
  const stderrTail = await output.finish();
  return { ...end, ...(stopped && { stopped }), stderrTail, startedAt, runMs, rssPeakBytes: memory.peakBytes() };
}

type End = Pick<ProgramRun, 'exitCode' | 'signal'>;

function endOf(child: ChildProcess): Promise<End> {
  return new Promise((resolve) => {
    child.once('exit', (exitCode, signal) => resolve({ exitCode, signal }));
  });
}

/** Opened before the program exists, so that a full file table cannot leave it without a reader. */
function openOutput(folder: JobFolder, capBytes: number) {
  const progress = new ProgressFiles(folder);
  const reader = new ProgressReader((line) => progress.add(line));
  const stdout = new CappedLog(folder.stdout, capBytes);
  const stderr = new CappedLog(folder.stderr, capBytes);
  let program: ChildProcess;
  let closed: Promise<unknown>;
  return {
    progress,
    readFrom(child: ChildProcess): void {
      program = child;
      closed = once(child, 'close');
      child.stdout!.on('data', (chunk: Buffer) => {
        stdout.write(chunk);
        reader.feed(chunk);
      });
      child.stderr!.on('data', (chunk: Buffer) => stderr.write(chunk));
    },
    /** Reads the pipes to their end and returns the end of stderr. */
    async finish(): Promise<string> {
      // Only a process that escaped the kill can keep a pipe open; its output is not waited for.
      await Promise.race([closed, sleep(drainMs, undefined, { ref: false })]);
      program.stdout!.destroy();
      program.stderr!.destroy();
      reader.end();
      progress.end();
      stdout.end();
      stderr.end();
      return stderr.tail();
    },
  };
}

const drainMs = 2_000;

function watchClocks(
  spec: JobSpec,
  everyMs: number,
  startedMs: number,
  progress: ProgressFiles,
  watch: ClaimWatch,
): NodeJS.Timeout {
  return setInterval(() => {
    const now = performance.now();
    const { timeLimitMs } = spec.resources;
    if (now - startedMs > timeLimitMs)
      watch.stop({ why: 'timeLimit', detail: `the time limit of ${formatDuration(timeLimitMs)} is over` });
    else if (now - progress.lastNewsMs > spec.progressTimeoutMs)
      watch.stop({ why: 'stalled', detail: `no new progress line for ${formatDuration(spec.progressTimeoutMs)}` });
  }, everyMs);
}

/**
 * Memory is watched as the resident size of all processes of the program. An address-space limit (ulimit -v) would kill
 * healthy programs: V8 and CUDA reserve far more address space than they use; cgroups need rights that a worker seldom
 * has. Shared pages count once: when the plain sum is over the limit, the slower proportional size decides.
 */
function watchMemory(trace: ProgramTrace, limitBytes: number, everyMs: number, watch: ClaimWatch) {
  let peakBytes = 0;
  const timer = setInterval(() => {
    const pids = findProgramProcesses(trace).map((p) => p.pid);
    let bytes = sum(pids.map(residentBytes));
    if (bytes > limitBytes) bytes = sum(pids.map(proportionalBytes));
    peakBytes = Math.max(peakBytes, bytes);
    if (bytes > limitBytes)
      watch.stop({
        why: 'outOfMemory',
        detail: `the program uses ${formatSize(bytes)} of memory; its limit is ${formatSize(limitBytes)}`,
      });
  }, everyMs);
  return { peakBytes: () => peakBytes, finish: () => clearInterval(timer) };
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

/** SIGTERM to the whole program, which may save and leave; after the grace, or at once where waiting does harm, SIGKILL. */
function watchForStop(trace: ProgramTrace, graceMs: number, watch: ClaimWatch) {
  let kill: NodeJS.Timeout | undefined;
  let finished = false;
  watch.onStop((stop: Stop) => {
    if (finished) return;
    const harmful = stop.why === 'outOfMemory' || stop.why === 'claimLost';
    if (!harmful) for (const process_ of findProgramProcesses(trace)) signalProcess(process_, 'SIGTERM');
    kill = setTimeout(() => void killProgram(trace), harmful ? 0 : graceMs);
  });
  return {
    finish(): void {
      finished = true;
      clearTimeout(kill);
    },
  };
}
