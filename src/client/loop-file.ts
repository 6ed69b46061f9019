import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { z } from 'zod';
import { type LoopSpec, LoopSpecSchema } from '../contracts/loop-spec.ts';
import { InvalidFile } from './errors.ts';
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
  const file = parseYaml(path, await readFile(absolute));
  return { file, spec: checkLoop(path, file), folder: dirname(absolute) };
}

/** @throws InvalidFile */
export function checkLoop(what: string, file: unknown): LoopSpec {
  const parsed = LoopSpecSchema.safeParse(file);
  if (!parsed.success)
    throw new InvalidFile(
      what,
      parsed.error.issues.flatMap((issue) => explain(issue)),
    );
  return parsed.data;
}

/** One line an issue: where, and what was expected. A union says what its closest member expected. */
function explain(issue: z.core.$ZodIssue, prefix: readonly PropertyKey[] = []): string[] {
  const path = [...prefix, ...issue.path];
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    const closest = issue.errors.reduce((a, b) => (depth(b) > depth(a) ? b : a));
    if (depth(closest) > 0) return closest.flatMap((inner) => explain(inner, path));
    return [`${where(path)}: ${[...new Set(issue.errors.flat().map((inner) => plain(inner.message)))].join(', or ')}`];
  }
  if (issue.code === 'invalid_key') return issue.issues.map(({ message }) => `${where(path)}: ${plain(message)}`);
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => `${where([...path, key])}: unknown field`);
  return [`${where(path)}: ${plain(issue.message)}`];
}

/** zod's sentence, without its lead and with "missing" for what is not there. */
const plain = (message: string): string =>
  message
    .replace(/^(?:Invalid input|Too small|Too big|Invalid option): /, '')
    .replace(/^(expected .*), received undefined$/, 'missing; $1');

const depth = (issues: readonly z.core.$ZodIssue[]): number =>
  Math.max(0, ...issues.map((issue) => issue.path.length + (issue.code === 'unrecognized_keys' ? 1 : 0)));
const where = (path: readonly PropertyKey[]): string => path.map(String).join('.') || 'the file';
