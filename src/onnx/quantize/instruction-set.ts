import { type CpuFeatures, hasVnni, readCpuFeatures } from './cpu.ts';

/**
 * The instructions that an engine multiplies 8-bit integers with on a CPU, the best first (onnxruntime's MLAS picks the
 * same way). `unknown`: this is no Linux, or no CPU that we know.
 */
export const instructionSets = [
  'x64-amx-int8',
  'x64-avx512-vnni',
  'x64-avx-vnni',
  'x64-avx512',
  'x64-avx2',
  'x64-sse',
  'arm64-i8mm',
  'arm64-dotprod',
  'arm64-neon',
  'unknown',
] as const;
export type InstructionSet = (typeof instructionSets)[number];

/** What this CPU serves 8-bit models with. */
export function instructionSetOf(cpu: CpuFeatures): InstructionSet {
  const has = (...flags: string[]): boolean => flags.every((flag) => cpu.flags.has(flag));
  if (cpu.flags.size === 0) return 'unknown';
  if (cpu.architecture === 'arm64') return has('i8mm') ? 'arm64-i8mm' : has('asimddp') ? 'arm64-dotprod' : 'arm64-neon';
  if (cpu.architecture !== 'x64') return 'unknown';
  if (has('amx_tile', 'amx_int8')) return 'x64-amx-int8';
  if (hasVnni(cpu)) return has('avx512_vnni') ? 'x64-avx512-vnni' : 'x64-avx-vnni';
  if (has('avx512bw', 'avx512dq', 'avx512vl')) return 'x64-avx512';
  return has('avx2') ? 'x64-avx2' : 'x64-sse';
}

/** How an int8 model's integers were, or will be, multiplied. */
export interface Arithmetic {
  readonly instructionSet: InstructionSet;
  /** 7: `reduceRange`; 8: the full range. */
  readonly weightBits: 7 | 8;
  /** The session option `session.x64quantprecision`: exact, slower kernels where 8-bit weights would saturate. */
  readonly x64QuantPrecision: boolean;
}

/** Sums of two products u8 × s8 in saturating int16 (VPMADDUBSW): 255·127·2 does not fit, 255·64·2 does. */
const saturating: ReadonlySet<InstructionSet> = new Set(['x64-avx512', 'x64-avx2', 'x64-sse', 'unknown']);

export const saturates = ({ instructionSet, weightBits, x64QuantPrecision }: Arithmetic): boolean =>
  weightBits === 8 && !x64QuantPrecision && saturating.has(instructionSet);

/**
 * Whether a verdict on an int8 model counts where it is to be served; undefined when it does, else why not. Sums that
 * cannot saturate are the same integers on every CPU. Where they can, the answers are those of one instruction set alone:
 * measured, BERT-SQuAD is right with VNNI and wrong without (quantization-and-serving.md §0).
 */
export function whyVerdictDoesNotCount(measured: Arithmetic, serves: Arithmetic): string | undefined {
  const [here, there] = [saturates(measured), saturates(serves)];
  if (!here && !there) return undefined;
  const isSame = measured.instructionSet === serves.instructionSet && measured.instructionSet !== 'unknown';
  if (here && there && isSame) return undefined;
  return `the verdict was measured with ${words(measured)}, it would serve with ${words(serves)}, whose 16-bit sums are other numbers: quantize with 7-bit weights, set session.x64quantprecision, or judge it on the CPU that serves`;
}

const words = (arithmetic: Arithmetic): string =>
  `${arithmetic.instructionSet} (${arithmetic.weightBits}-bit weights, ${saturates(arithmetic) ? 'saturating' : 'exact'} sums)`;

/** As a Model's and an Evaluation's manifests keep it; instructions that this release does not know are `unknown`. */
export function recordedArithmetic({
  instructionSet,
  weightBits,
  x64QuantPrecision,
}: Omit<Arithmetic, 'instructionSet'> & { readonly instructionSet: string }): Arithmetic {
  const known = instructionSets.find((name) => name === instructionSet) ?? 'unknown';
  return { instructionSet: known, weightBits, x64QuantPrecision };
}

/** How this machine multiplies: our endpoint and our scorer always set `session.x64quantprecision` (serving/predictor.ts). */
export const arithmeticHere = async (): Promise<Omit<Arithmetic, 'weightBits'>> => ({
  instructionSet: instructionSetOf(await readCpuFeatures()),
  x64QuantPrecision: true,
});
