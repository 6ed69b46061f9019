import { OnnxError } from '../error.ts';
import type { Tensor } from '../model.ts';
import { valuesOf } from '../tensor.ts';

/** The elements of a float32 or float16 tensor as float32, which holds every float16. Read-only: often a view. */
export function floatsOf(tensor: Tensor): Float32Array {
  if (tensor.type === 'float32') return valuesOf(tensor, 'float32');
  if (tensor.type !== 'float16') {
    throw new OnnxError(`tensor "${tensor.name}": expected float32 or float16, it is ${tensor.type}`);
  }
  const table = float16Values();
  return Float32Array.from(valuesOf(tensor, 'float16'), (bits) => table[bits]!);
}

/** Bytes of a tensor's elements, in memory or not. */
export const tensorSize = ({ bytes, stored }: Tensor): number => stored?.sizeBytes ?? bytes.byteLength;

/**
 * The bits of floats, aligned as `Float32Array` is. Without their sign they are ordered as the magnitudes are, infinity
 * and then NaN above all, and comparing integers takes half the time.
 */
export const magnitudeBits = (values: Float32Array): Int32Array =>
  new Int32Array(values.buffer, values.byteOffset, values.length);
export const withoutSign = 0x7fff_ffff;

let table: Float32Array | undefined;

/** What each of the 65,536 bit patterns of IEEE 754 binary16 stands for. */
function float16Values(): Float32Array {
  table ??= Float32Array.from({ length: 65_536 }, (_, bits) => {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  });
  return table;
}
