import { setTimeout as sleep } from 'node:timers/promises';
import { markerVariable } from './job-folder.ts';
import { hasVariable, type ProcessEntry, readProcess, readProcesses } from './processes.ts';

/** What identifies the processes of one program run. */
export interface ProgramTrace {
  /** Value of the marker variable in their environment. */
  marker: string;
  /** The program itself, which leads its own session and process group. */
  leader?: { pid: number; startTicks: number };
}

/**
 * All processes of a program: those in its group or session, those that carry its marker in their environment (a child
 * that called setsid, or whose parents are gone), and all their descendants. Node has no PR_SET_CHILD_SUBREAPER and
 * cgroups need rights that a worker seldom has; what leaves the session AND clears its environment AND loses its parent
 * escapes this. Pure, except for `isMarked`.
 */
export function programProcesses(
  trace: ProgramTrace,
  table: readonly ProcessEntry[],
  isMarked: (pid: number) => boolean,
): ProcessEntry[] {
  const { leader } = trace;
  const pidReused = table.some((p) => p.pid === leader?.pid && p.startTicks !== leader.startTicks);
  const belongs = (p: ProcessEntry): boolean =>
    (leader !== undefined &&
      !pidReused &&
      (p.group === leader.pid || p.session === leader.pid) &&
      p.startTicks >= leader.startTicks) ||
    isMarked(p.pid);

  const members = new Map<number, ProcessEntry>();
  let found = table.filter((p) => !p.zombie && belongs(p));
  while (found.length > 0) {
    for (const p of found) members.set(p.pid, p);
    found = table.filter((p) => !p.zombie && !members.has(p.pid) && members.has(p.parent));
  }
  return [...members.values()];
}

export const findProgramProcesses = (trace: ProgramTrace): ProcessEntry[] =>
  programProcesses(trace, readProcesses(), (pid) => hasVariable(pid, markerVariable, trace.marker));

/** Sends a signal to one process, unless it has gone and another has its pid. */
export function signalProcess(process_: { pid: number; startTicks: number }, signal: NodeJS.Signals): void {
  if (readProcess(process_.pid)?.startTicks !== process_.startTicks) return;
  try {
    process.kill(process_.pid, signal);
  } catch (error) {
    // Gone by itself, or it changed its user and is not ours to signal: the next scan shows which.
    if (!['ESRCH', 'EPERM'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error;
  }
}

const scanPauseMs = 20;

/**
 * Kills every process of the program and waits until none is left. Returns those that are still there at the deadline
 * (uninterruptible sleep): as long as there is one, the job may not be called dead.
 */
export async function killProgram(trace: ProgramTrace, withinMs = 5_000): Promise<ProcessEntry[]> {
  const deadline = performance.now() + withinMs;
  // Two empty scans: between fork and exec a child still shows its parent's environment.
  for (let emptyScans = 0; ; ) {
    const left = findProgramProcesses(trace);
    if (left.length === 0 && ++emptyScans === 2) return [];
    if (left.length > 0) emptyScans = 0;
    if (performance.now() > deadline) return left;
    for (const process_ of left) signalProcess(process_, 'SIGKILL');
    await sleep(scanPauseMs);
  }
}
