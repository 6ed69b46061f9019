import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { type LoopSpec, LoopSpecSchema } from '../contracts/loop-spec.ts';
import { InvalidFile } from './errors.ts';
import { problemLines } from './problem-lines.ts';
import { parseYaml } from './yaml.ts';

/** A loop file is some pages of text; more is a mistake or an attack. */
const largestFileBytes = 256 * 1024;

export interface LoopFileContent {
  /** As parsed, before defaults and units. */
  file: Record<string, unknown>;
  spec: LoopSpec;
  /** Absolute folder of the file. */
  folder: string;
}

/** Reads and checks a `loop.yaml`. @throws InvalidFile that names every field and what was expected */
export async function readLoopFile(path: string): Promise<LoopFileContent> {
  const absolute = resolve(path);
  const { size } = await stat(absolute).catch(() => {
    throw new InvalidFile(path, ['no such file']);
  });
  if (size > largestFileBytes) throw new InvalidFile(path, [`expected at most ${largestFileBytes} bytes, has ${size}`]);
  const bytes = await readFile(absolute);
  const file = parseYaml(path, bytes);
  return { file, spec: checkLoop(path, file, bytes), folder: dirname(absolute) };
}

/** @param bytes the YAML that `file` was read from, for line numbers. @throws InvalidFile */
export function checkLoop(what: string, file: unknown, bytes?: Uint8Array): LoopSpec {
  const parsed = LoopSpecSchema.safeParse(file);
  if (parsed.success) return parsed.data;
  throw new InvalidFile(what, problemLines(parsed.error.issues, { file, bytes, schema: LoopSpecSchema }));
}
