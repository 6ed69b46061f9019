import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** Linux's process table (proc(5)). Reads take some 20 µs per process and never block on a disk. */

/** One running kernel as one pid namespace sees it: only inside it do pids mean anything. */
export interface Machine {
  host: string;
  bootId: string;
  pidNamespace: string;
}

/** One process among all that ever had its pid. */
export interface ProcessIdentity extends Machine {
  pid: number;
  /** Field 22 of /proc/<pid>/stat: clock ticks from boot to the start of the process. */
  startTicks: number;
}

export interface ProcessEntry {
  pid: number;
  parent: number;
  group: number;
  session: number;
  startTicks: number;
  /** Ended, and not yet waited for by its parent. */
  zombie: boolean;
}

export function thisMachine(host: string): Machine {
  return {
    host,
    bootId: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
    pidNamespace: readlinkSync('/proc/self/ns/pid'),
  };
}

export function thisProcess(host: string): ProcessIdentity {
  return { ...thisMachine(host), pid: process.pid, startTicks: readProcess(process.pid)!.startTicks };
}

/** `elsewhere`: on a host, or in a container, whose processes this one cannot see. */
export function liveness(identity: ProcessIdentity, here: Machine): 'alive' | 'dead' | 'elsewhere' {
  if (identity.host !== here.host) return 'elsewhere';
  if (identity.bootId !== here.bootId) return 'dead';
  if (identity.pidNamespace !== here.pidNamespace) return 'elsewhere';
  const entry = readProcess(identity.pid);
  return entry !== undefined && !entry.zombie && entry.startTicks === identity.startTicks ? 'alive' : 'dead';
}

/** Undefined when there is no such process. */
export function readProcess(pid: number): ProcessEntry | undefined {
  const stat = readOf(pid, 'stat');
  if (stat === undefined) return undefined;
  // The second field, the name, may hold spaces and brackets; the fields after it are numbers.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return {
    pid,
    parent: Number(fields[1]),
    group: Number(fields[2]),
    session: Number(fields[3]),
    startTicks: Number(fields[19]),
    zombie: fields[0] === 'Z' || fields[0] === 'X',
  };
}

export function readProcesses(): ProcessEntry[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map((name) => readProcess(Number(name)))
    .filter((entry) => entry !== undefined);
}

/** Whether the process was started with `name=value` in its environment; false where we may not look. */
export function hasVariable(pid: number, name: string, value: string): boolean {
  return readOf(pid, 'environ')?.split('\0').includes(`${name}=${value}`) ?? false;
}

/** Resident bytes; pages that processes share count in each of them. */
export const residentBytes = (pid: number): number => kilobytes(readOf(pid, 'status'), 'VmRSS') ?? 0;

/** Resident bytes with each shared page divided among those who share it. Walks the page table, so it is slower. */
export const proportionalBytes = (pid: number): number =>
  kilobytes(readOf(pid, 'smaps_rollup'), 'Pss') ?? residentBytes(pid);

function kilobytes(text: string | undefined, field: string): number | undefined {
  const match = text === undefined ? null : new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(text);
  return match ? Number(match[1]) * 1024 : undefined;
}

/** Processes that the kernel has killed for memory since boot, on the whole machine. */
export function kernelOomKills(): number {
  return Number(/^oom_kill (\d+)$/m.exec(readFileSync('/proc/vmstat', 'utf8'))?.[1] ?? 0);
}

function readOf(pid: number, file: 'stat' | 'status' | 'environ' | 'smaps_rollup'): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    // It ended in the meantime (ENOENT, ESRCH) or belongs to somebody else (EACCES).
    return undefined;
  }
}
