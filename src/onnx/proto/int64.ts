import { OnnxError } from '../error.ts';
import type { Int } from '../model.ts';
import type { Int64 } from './schema.ts';

const two32 = 4_294_967_296;

/** A number when it is a safe integer, else a bigint: never a silently rounded value. */
export function fromInt64(value: Int64): Int {
  if (typeof value === 'number') return value;
  const high = value.unsigned ? value.high >>> 0 : value.high | 0;
  const low = value.low >>> 0;
  const near = high * two32 + low;
  return Number.isSafeInteger(near) ? near : BigInt(high) * BigInt(two32) + BigInt(low);
}

/** Sizes, versions, dimensions: no honest file has one beyond 2^53. */
export function safeInt(value: Int64, where: string): number {
  const int = fromInt64(value);
  if (typeof int === 'bigint') throw new OnnxError(`${where}: ${int} is beyond the safe integers`);
  return int;
}

export function toInt64(value: Int): Int64 {
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value)) throw new OnnxError(`expected a safe integer, got ${value}`);
    return value;
  }
  const bits = BigInt.asUintN(64, value);
  return { low: Number(bits & 0xffff_ffffn) | 0, high: Number(bits >> 32n) | 0, unsigned: false };
}
