import { ApplicationFailure } from '@temporalio/common';
import { failureTypes } from '../contracts/failures.ts';

/**
 * Messages are typed by people into the Web UI, so every handler decodes what it gets. Small and pure: zod's runtime
 * stays out of the sandbox (it probes `new Function` and weighs on every cached workflow).
 */
export type Decoder<T> = (value: unknown, path: string) => T;

export class DecodeError extends Error {
  override readonly name = 'DecodeError';
}

const describe = (value: unknown): string => (value === null ? 'null' : Array.isArray(value) ? 'a list' : typeof value);
const expected = (path: string, what: string, value: unknown): DecodeError =>
  new DecodeError(`${path}: expected ${what}, got ${describe(value)}`);

export const text =
  (maxLength: number, pattern?: RegExp): Decoder<string> =>
  (value, path) => {
    if (typeof value !== 'string') throw expected(path, 'text', value);
    if (value.length === 0 || value.length > maxLength)
      throw new DecodeError(`${path}: expected 1 to ${maxLength} characters`);
    if (pattern && !pattern.test(value)) throw new DecodeError(`${path}: does not match ${pattern}`);
    return value;
  };

export const number =
  ({ min = -Number.MAX_VALUE, max = Number.MAX_VALUE, integer = false } = {}): Decoder<number> =>
  (value, path) => {
    if (typeof value !== 'number' || !Number.isFinite(value)) throw expected(path, 'a number', value);
    if (value < min || value > max || (integer && !Number.isInteger(value)))
      throw new DecodeError(`${path}: expected ${integer ? 'an integer' : 'a number'} from ${min} to ${max}`);
    return value;
  };

export const flag: Decoder<boolean> = (value, path) => {
  if (typeof value !== 'boolean') throw expected(path, 'true or false', value);
  return value;
};

export const oneOf =
  <T extends string>(...choices: readonly T[]): Decoder<T> =>
  (value, path) => {
    if (!choices.includes(value as T)) throw new DecodeError(`${path}: expected one of ${choices.join(', ')}`);
    return value as T;
  };

export const nullable =
  <T>(inner: Decoder<T>): Decoder<T | null> =>
  (value, path) =>
    value === null ? null : inner(value, path);

export const optional =
  <T>(inner: Decoder<T>): Decoder<T | undefined> =>
  (value, path) =>
    value === undefined ? undefined : inner(value, path);

export const list =
  <T>(inner: Decoder<T>, { min = 0, max = 1_000 } = {}): Decoder<T[]> =>
  (value, path) => {
    if (!Array.isArray(value)) throw expected(path, 'a list', value);
    if (value.length < min || value.length > max) throw new DecodeError(`${path}: expected ${min} to ${max} entries`);
    return value.map((entry, i) => inner(entry, `${path}[${i}]`));
  };

/** Strict: an unknown field is a typing error somewhere, and silence would hide it. Absent optional fields stay absent. */
export const object =
  <T>(fields: { [K in keyof T]-?: Decoder<T[K]> }): Decoder<T> =>
  (value, path) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) throw expected(path, 'an object', value);
    const known = new Set(Object.keys(fields));
    for (const key of Object.keys(value)) if (!known.has(key)) throw new DecodeError(`${path}.${key}: unknown field`);
    const decoded: Partial<T> = {};
    for (const key of Object.keys(fields) as (keyof T & string)[]) {
      const field = fields[key]((value as Record<string, unknown>)[key], `${path}.${key}`);
      if (field !== undefined) decoded[key] = field;
    }
    return decoded as T;
  };

/** For update validators: a bad message is refused before it enters history. */
export function decodeUpdate<T>(decoder: Decoder<T>, value: unknown): T {
  try {
    return decoder(value, 'input');
  } catch (error) {
    throw ApplicationFailure.nonRetryable((error as Error).message, failureTypes.invalidInput);
  }
}
