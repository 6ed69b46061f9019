import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parseDocument } from 'yaml';
import type { z } from 'zod';
import { type LoopSpec, LoopSpecSchema } from '../contracts/loop-spec.ts';
import { InvalidFile } from './errors.ts';

/** A loop file is some pages of text; more is a mistake or an attack. */
const largestFileBytes = 256 * 1024;

export interface LoopFileContent {
  /** As parsed, before defaults and units. */
  file: Record<string, unknown>;
  spec: LoopSpec;
  /** Absolute folder of the file. */
  folder: string;
}

/**
 * Reads and checks a `loop.yaml`. Plain YAML 1.2 only: no anchors, aliases, tags or second documents, so there is nothing
 * to expand. @throws InvalidFile that names every field and what was expected
 */
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

export function parseYaml(what: string, bytes: Uint8Array): Record<string, unknown> {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    throw new InvalidFile(what, ['expected UTF-8 text']);
  }
  const document = parseDocument(text, {
    version: '1.2',
    schema: 'core',
    uniqueKeys: true,
    merge: false,
    prettyErrors: true,
    // Not 'silent': then a second document would be passed over.
    logLevel: 'error',
  });
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem) throw new InvalidFile(what, [yamlProblem(problem.message)]);
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: 0 });
  } catch {
    throw new InvalidFile(what, ['anchors and aliases are not supported: write the value out']);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new InvalidFile(what, ['expected a mapping such as "apiVersion: goto3/v1"']);
  refuseProto(what, value, []);
  return value as Record<string, unknown>;
}

function yamlProblem(message: string): string {
  if (message.includes('call stack')) return 'nested too deeply';
  return message.includes('multiple documents')
    ? 'expected one document: no second one after "---"'
    : message.split('\n')[0]!;
}

/** A key that turns into a prototype in careless readers. */
function refuseProto(what: string, value: unknown, path: readonly string[]): void {
  if (typeof value !== 'object' || value === null) return;
  for (const [key, member] of Object.entries(value)) {
    if (key === '__proto__') throw new InvalidFile(what, [`${where([...path, key])}: not a name that a file may use`]);
    refuseProto(what, member, [...path, key]);
  }
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
