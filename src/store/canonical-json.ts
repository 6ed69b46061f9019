import { createHash } from 'node:crypto';
import type { Digest } from '../contracts/digest.ts';
import { InvalidInput } from './errors.ts';

/** Deeper nesting is a mistake or a reference cycle, not data. */
const maxDepth = 256;

/**
 * The one text of a JSON value (RFC 8785): keys sorted by UTF-16 code units, no white space, numbers and strings as
 * ECMAScript prints them. Equal values have equal text, so they have one digest.
 *
 * Throws `InvalidInput`, with the path of the field, for what JSON cannot carry: NaN, infinities, undefined, functions,
 * bigints, symbols, class instances, lone surrogates; and for keys named `__proto__`, which turn into a prototype in
 * careless readers.
 */
export function canonicalJson(value: unknown): string {
  return encode(value, '$', 0);
}

export const canonicalBytes = (value: unknown): Uint8Array => Buffer.from(canonicalJson(value), 'utf8');

export function digestOf(bytes: Uint8Array | string): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** Strict UTF-8 and JSON, without `__proto__` keys. `what` names the document in the error. */
export function parseJson(bytes: Uint8Array, what: string): unknown {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new InvalidInput(`${what}: expected UTF-8 text`);
  }
  try {
    return JSON.parse(text, (key, value: unknown) => {
      if (key === '__proto__') throw new InvalidInput(`${what}: the key "__proto__" is not allowed`);
      return value;
    });
  } catch (error) {
    if (error instanceof InvalidInput) throw error;
    throw new InvalidInput(`${what}: expected JSON (${error instanceof Error ? error.message : String(error)})`);
  }
}

function encode(value: unknown, path: string, depth: number): string {
  if (depth > maxDepth) throw new InvalidInput(`${path}: nested deeper than ${maxDepth} levels, or a cycle`);
  switch (typeof value) {
    case 'boolean':
      return value ? 'true' : 'false';
    case 'string':
      return encodeString(value, path);
    case 'number':
      if (!Number.isFinite(value)) throw new InvalidInput(`${path}: expected a finite number, got ${value}`);
      return JSON.stringify(value);
    case 'object':
      if (value === null) return 'null';
      return Array.isArray(value) ? encodeArray(value, path, depth) : encodeObject(value, path, depth);
    default:
      throw new InvalidInput(`${path}: expected a JSON value, got ${typeof value}`);
  }
}

function encodeString(text: string, path: string): string {
  // With the `u` flag a surrogate pair is one code point, so this matches lone surrogates only; they have no UTF-8 form.
  if (/\p{Surrogate}/u.test(text)) throw new InvalidInput(`${path}: the text has a lone surrogate`);
  return JSON.stringify(text);
}

function encodeArray(items: unknown[], path: string, depth: number): string {
  // `Array.from` also visits the holes of a sparse array, as undefined.
  return `[${Array.from(items, (item, i) => encode(item, `${path}[${i}]`, depth + 1)).join(',')}]`;
}

function encodeObject(object: object, path: string, depth: number): string {
  const prototype: unknown = Object.getPrototypeOf(object);
  if (prototype !== null && prototype !== Object.prototype)
    throw new InvalidInput(`${path}: expected a plain object, got ${object.constructor?.name ?? 'an instance'}`);
  const members = Object.entries(object)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => {
      if (key === '__proto__') throw new InvalidInput(`${path}: the key "__proto__" is not allowed`);
      return `${encodeString(key, path)}:${encode(member, `${path}.${key}`, depth + 1)}`;
    });
  return `{${members.join(',')}}`;
}
