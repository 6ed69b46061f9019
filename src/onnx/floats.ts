import { OnnxError } from './error.ts';
import type { Tensor } from './model.ts';
import { valuesOf } from './tensor.ts';

/**
 * The elements of a float32, float16 or bfloat16 tensor as float32, which holds every value of the other two exactly.
 * Read-only: often a view. Throws `OnnxError` for another type.
 */
export function floatsOf(tensor: Tensor): Float32Array {
  switch (tensor.type) {
    case 'float32':
      return valuesOf(tensor, 'float32');
    case 'float16': {
      const table = float16Values();
      return Float32Array.from(valuesOf(tensor, 'float16'), (bits) => table[bits]!);
    }
    case 'bfloat16': {
      // The upper half of a float32.
      const halves = valuesOf({ ...tensor, type: 'uint16' }, 'uint16');
      const bits = Uint32Array.from(halves, (half) => half << 16);
      return new Float32Array(bits.buffer);
    }
    default:
      throw new OnnxError(`tensor "${tensor.name}": expected float32, float16 or bfloat16, it is ${tensor.type}`);
  }
}

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
