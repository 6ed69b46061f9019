import { z } from 'zod';
import { nearest } from './nearest.ts';
import { placeFinder } from './yaml.ts';

export interface WrittenFile {
  /** As parsed, before defaults. */
  file: unknown;
  /** The YAML that it was parsed from; without it places are not named. */
  bytes: Uint8Array | undefined;
  /** Columns are named too. */
  columns?: boolean;
  /** What it was checked by. */
  schema: z.ZodType;
}

/** Thousands of unknown fields are no misspellings: a search for each would take seconds. */
const explained = 200;

interface Problem {
  path: readonly PropertyKey[];
  message: string;
}

/** One line an issue: which field, what was expected, the nearest right spelling, and its place in the file. */
export function problemLines(
  issues: readonly z.core.$ZodIssue[],
  { file, bytes, columns = false, schema }: WrittenFile,
): string[] {
  const placeOf = bytes === undefined ? () => undefined : placeFinder(bytes);
  const fieldsAt = fieldFinder(schema);
  return issues
    .flatMap((issue) => problemsOf(issue))
    .map(({ path, message }, n) => {
      if (n >= explained) return `${where(path)}: ${message}`;
      const place = placeOf(path);
      const spelling = nearest(...misspelt(path, message, file, fieldsAt));
      return `${where(path)}: ${message}${spelling}${place === undefined ? '' : ` (line ${place.line}${columns ? `, column ${place.column}` : ''})`}`;
    });
}

/** A union says what its closest member expected. */
function problemsOf(issue: z.core.$ZodIssue, prefix: readonly PropertyKey[] = []): Problem[] {
  const path = [...prefix, ...issue.path];
  if (issue.code === 'invalid_union' && issue.errors.length > 0) {
    const closest = issue.errors.reduce((a, b) => (depth(b) > depth(a) ? b : a));
    if (depth(closest) > 0) return closest.flatMap((inner) => problemsOf(inner, path));
    const expected = [...new Set(issue.errors.flat().map((inner) => plain(inner.message)))];
    return [{ path, message: expected.join(', or ') }];
  }
  if (issue.code === 'invalid_key') return issue.issues.map(({ message }) => ({ path, message: plain(message) }));
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => ({ path: [...path, key], message: unknownField }));
  return [{ path, message: plain(issue.message) }];
}

const unknownField = 'unknown field';

/** What was written and what could have been meant: names of fields beside it, or the words that the message quotes. */
function misspelt(
  path: readonly PropertyKey[],
  message: string,
  file: unknown,
  fieldsAt: (path: readonly PropertyKey[]) => string[],
): [written: string, names: string[]] {
  if (message === unknownField) return [String(path.at(-1)), fieldsAt(path.slice(0, -1))];
  const value = path.reduce<unknown>((at, step) => (at as Record<PropertyKey, unknown> | undefined)?.[step], file);
  if (typeof value !== 'string') return ['', []];
  return [value, [...message.matchAll(/"([^"]+)"/g)].map(([, name]) => name!).filter((name) => name !== value)];
}

interface JsonSchema {
  properties?: Record<string, JsonSchema>;
  items?: JsonSchema;
  additionalProperties?: JsonSchema | boolean;
  anyOf?: JsonSchema[];
  allOf?: JsonSchema[];
}

/** Names of the fields that may stand at a path; of a union those of all members. */
function fieldFinder(schema: z.ZodType): (path: readonly PropertyKey[]) => string[] {
  let root: JsonSchema | undefined;
  return (path) => {
    root ??= z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any', reused: 'inline' }) as JsonSchema;
    let here = members(root);
    for (const step of path)
      here = here.flatMap(({ properties, items, additionalProperties }) => {
        const next = typeof step === 'number' ? items : (properties?.[String(step)] ?? additionalProperties);
        return typeof next === 'object' ? members(next) : [];
      });
    return here.flatMap(({ properties }) => Object.keys(properties ?? {}));
  };
}

const members = (schema: JsonSchema): JsonSchema[] => [
  schema,
  ...[...(schema.anyOf ?? []), ...(schema.allOf ?? [])].flatMap(members),
];

/** zod's sentence, without its lead and with "missing" for what is not there. */
const plain = (message: string): string =>
  message
    .replace(/^(?:Invalid input|Too small|Too big|Invalid option): /, '')
    .replace(/^(expected .*), received undefined$/, 'missing; $1');

const depth = (issues: readonly z.core.$ZodIssue[]): number =>
  Math.max(0, ...issues.map((issue) => issue.path.length + (issue.code === 'unrecognized_keys' ? 1 : 0)));
const where = (path: readonly PropertyKey[]): string => path.map(String).join('.') || 'the file';
