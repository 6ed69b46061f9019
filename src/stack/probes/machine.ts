import { existsSync, readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { availableParallelism, cpus, freemem, totalmem } from 'node:os';
import { formatSize } from '../../contracts/units.ts';
import type { Probe } from '../doctor.ts';
import { findProgram, runProgram } from '../programs.ts';
import { existingFolder } from './existing-folder.ts';

const GiB = 2 ** 30;
/** Temporal server, four workers and an endpoint hold about 1.2 GiB; a fine-tune needs some too. */
const comfortableMemoryBytes = 2 * GiB;
const comfortableDiskBytes = 5 * GiB;
const leastDiskBytes = GiB / 2;

/** Instructions that decide how fast int8 is (onnxruntime picks its kernels by them). */
const vectorFlags = ['avx2', 'avx512f', 'avx_vnni', 'avx512_vnni', 'amx_int8', 'asimddp', 'i8mm'];

export const cpuProbe: Probe = async () => {
  const cores = availableParallelism();
  const model = cpus()[0]?.model.trim() || process.arch;
  const flags = vectorFlags.filter((flag) => cpuFlags().has(flag));
  const vnni = flags.some((flag) => /vnni|amx|asimddp|i8mm/.test(flag));
  const int8 = vnni ? '' : '; no int8 instructions (VNNI), so int8 models are smaller but hardly faster';
  const found = `${cores} cores, ${model}, ${flags.join(' ') || 'no known vector instructions'}${int8}`;
  return { status: cores >= 2 ? 'ok' : 'warn', found };
};

function cpuFlags(): ReadonlySet<string> {
  if (!existsSync('/proc/cpuinfo')) return new Set();
  const line = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'));
  return new Set(line?.[1]?.split(' '));
}

export const memoryProbe: Probe = async () => {
  // 0 or absent: no cgroup limits this process.
  const limit = process.constrainedMemory() || Number.POSITIVE_INFINITY;
  const total = Math.min(limit, totalmem());
  const available = Math.min(total, availableMemory());
  const found = `${formatSize(available)} available of ${formatSize(total)}`;
  return { status: available >= comfortableMemoryBytes ? 'ok' : 'warn', found };
};

/** Free memory and what the kernel would give back for it. */
function availableMemory(): number {
  if (!existsSync('/proc/meminfo')) return freemem();
  const line = /^MemAvailable:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'));
  return line ? Number(line[1]) * 1_024 : freemem();
}

export const diskProbe: Probe = async ({ home }) => {
  const folder = existingFolder(home);
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  const found = `${formatSize(free)} free in ${folder}`;
  if (free >= comfortableDiskBytes) return { status: 'ok', found };
  return { status: free >= leastDiskBytes ? 'warn' : 'missing', found, fix: 'goto3 store gc' };
};

export const gpuProbe: Probe = async ({ path }) => {
  const tool = findProgram(path, 'nvidia-smi');
  if (!tool) return { status: 'warn', found: 'no nvidia-smi on PATH; fine-tunes run on the CPU' };
  const query = ['--query-gpu=name,memory.total,driver_version', '--format=csv,noheader'];
  const { stdout } = await runProgram([tool, ...query], 10_000);
  const gpus = stdout.trim().split('\n').filter(Boolean);
  return gpus.length > 0
    ? { status: 'ok', found: gpus.join('; ') }
    : { status: 'warn', found: 'nvidia-smi lists no GPU; fine-tunes run on the CPU' };
};
