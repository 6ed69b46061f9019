import { readFile } from 'node:fs/promises';

/** What the CPU offers for 8-bit arithmetic. */
export interface CpuFeatures {
  /** As Node names it: `x64`, `arm64` … */
  readonly architecture: string;
  /** Flags that every core has; empty when they are not known. */
  readonly flags: ReadonlySet<string>;
}

/** Flags that all processors of `/proc/cpuinfo` share (`flags` on x86, `Features` on ARM). */
export function parseCpuFlags(cpuinfo: string): ReadonlySet<string> {
  let shared: Set<string> | undefined;
  for (const line of cpuinfo.split('\n')) {
    const match = /^(?:flags|Features)\s*:\s*(.*)$/.exec(line);
    if (!match) continue;
    const flags = match[1]!.split(/\s+/).filter((flag) => flag !== '');
    shared = new Set(shared === undefined ? flags : flags.filter((flag) => shared!.has(flag)));
  }
  return shared ?? new Set();
}

/** The CPU of this machine. Outside Linux the flags are not known, and an empty set is the careful answer. */
export async function readCpuFeatures(path = '/proc/cpuinfo'): Promise<CpuFeatures> {
  let flags: ReadonlySet<string> = new Set();
  try {
    flags = parseCpuFlags(await readFile(path, 'utf8'));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  return { architecture: process.arch, flags };
}

export const hasVnni = ({ flags }: CpuFeatures): boolean => flags.has('avx512_vnni') || flags.has('avx_vnni');

/**
 * Whether int8 weights must keep to 7 bits on this CPU. x64 without VNNI multiplies with VPMADDUBSW, whose sums of two
 * products saturate at 16 bits: 255·127·2 does not fit, 255·64·2 does. Wrong answers, not slower ones, are the price
 * (microsoft/onnxruntime issues 6004 and 5849). ARM sums in 32 bits. Ask for the CPUs that will serve, not for the one
 * that quantizes.
 */
export const needsReducedRange = (cpu: CpuFeatures): boolean => cpu.architecture !== 'arm64' && !hasVnni(cpu);
