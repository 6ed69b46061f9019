import { floatsOf } from '../floats.ts';
import type { Tensor } from '../model.ts';
import { tensorBytes } from '../tensor.ts';

/** The bytes of a float32 tensor, or of what a float16 tensor is in float32. Read-only: often a view on the model's file. */
export function floatBytesOf(tensor: Tensor): Uint8Array {
  return tensor.type === 'float32' ? tensorBytes(tensor) : bytesOfFloats(floatsOf(tensor));
}

export const bytesOfFloats = ({ buffer, byteOffset, byteLength }: Float32Array): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/**
 * The bits of floats, aligned as `Float32Array` is. Without their sign they are ordered as the magnitudes are, infinity
 * and then NaN above all, and comparing integers takes half the time.
 */
export const magnitudeBits = (values: Float32Array): Int32Array =>
  new Int32Array(values.buffer, values.byteOffset, values.length);
export const withoutSign = 0x7fff_ffff;
