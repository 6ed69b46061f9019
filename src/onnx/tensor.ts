import { type DataType, storageBytes } from './data-type.ts';
import { OnnxError } from './error.ts';
import type { Tensor } from './model.ts';

/** Typed arrays that hold an element type's values; float16 as its 16 bits, bool as 0 and 1. */
interface Values {
  float32: Float32Array;
  float64: Float64Array;
  float16: Uint16Array;
  int8: Int8Array;
  uint8: Uint8Array;
  int16: Int16Array;
  uint16: Uint16Array;
  int32: Int32Array;
  uint32: Uint32Array;
  int64: BigInt64Array;
  uint64: BigUint64Array;
  bool: Uint8Array;
}
export type TypedDataType = keyof Values;
export type ValuesOf<T extends TypedDataType> = Values[T];

const constructors: {
  [T in TypedDataType]: new (
    buffer: ArrayBufferLike,
    offset: number,
    length: number,
  ) => Values[T];
} = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
};

/**
 * The tensor's bytes, wherever they are: read-only. Throws `OnnxError` when a stored weight cannot be read or is not as
 * long as the tensor says.
 */
export function tensorBytes(tensor: Tensor): Uint8Array {
  if (tensor.stored === undefined) return tensor.bytes;
  const bytes = tensor.stored.read();
  if (bytes.byteLength !== tensor.stored.sizeBytes) {
    throw new OnnxError(
      `tensor "${tensor.name}": expected ${tensor.stored.sizeBytes} stored bytes, got ${bytes.byteLength}`,
    );
  }
  return bytes;
}

/** Bytes of a tensor's elements, in memory or not; 0 for strings. */
export const tensorSize = ({ bytes, stored }: Tensor): number => stored?.sizeBytes ?? bytes.byteLength;

/** A tensor whose bytes are made when they are needed; see `StoredBytes`. */
export function storedTensor(
  name: string,
  type: Exclude<DataType, 'string'>,
  dims: readonly number[],
  read: () => Uint8Array,
): Tensor {
  const sizeBytes = storageBytes(type, elementCount(dims, `tensor "${name}"`));
  return { name, type, dims: [...dims], bytes: new Uint8Array(0), stored: { sizeBytes, read } };
}

/**
 * The elements of a tensor of the given type, row-major. A view on the model's bytes where alignment allows it, else a
 * copy: treat it as read-only. Throws `OnnxError` when the tensor is of another type.
 */
export function valuesOf<T extends TypedDataType>(tensor: Tensor, type: T): Values[T] {
  if (tensor.type !== type) throw new OnnxError(`tensor "${tensor.name}": expected ${type}, it is ${tensor.type}`);
  const count = elementCount(tensor.dims, `tensor "${tensor.name}"`);
  const bytes = tensorBytes(tensor);
  const aligned = bytes.byteOffset % (storageBytes(type, 1) || 1) === 0 ? bytes : new Uint8Array(bytes); // `slice` of a Buffer is a view
  return new constructors[type](aligned.buffer, aligned.byteOffset, count);
}

/** A tensor over the values' own memory (not copied). Throws `OnnxError` when their number does not match the shape. */
export function tensorOf<T extends TypedDataType>(
  name: string,
  type: T,
  dims: readonly number[],
  values: Values[T],
): Tensor {
  if (!(values instanceof constructors[type])) {
    throw new OnnxError(`tensor "${name}": expected ${constructors[type].name} for ${type}`);
  }
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const tensor: Tensor = { name, type, dims: [...dims], bytes };
  checkTensor(tensor, `tensor "${name}"`);
  return tensor;
}

/** Product of the dimensions, 1 for a scalar. Throws `OnnxError` for a negative dimension or a product beyond 2^53. */
export function elementCount(dims: readonly number[], where: string): number {
  let count = 1;
  for (const dim of dims) {
    if (!Number.isSafeInteger(dim) || dim < 0) throw new OnnxError(`${where}: ${dim} is no dimension`);
    count *= dim;
  }
  // A zero hides an overflow before or behind it, and an absurd shape is absurd with it too.
  const withoutZeros = dims.reduce((product, dim) => product * (dim || 1), 1);
  if (withoutZeros > Number.MAX_SAFE_INTEGER) throw new OnnxError(`${where}: shape [${dims.join(', ')}] is too large`);
  return count;
}

/** Throws `OnnxError` unless the tensor holds exactly as many bytes (strings) as its type and shape say. */
export function checkTensor(tensor: Tensor, where: string): void {
  const count = elementCount(tensor.dims, where);
  const [actual, expected, unit] =
    tensor.type === 'string'
      ? [tensor.strings?.length ?? 0, count, 'strings']
      : [
          tensor.stored?.sizeBytes ?? tensor.bytes.byteLength,
          storageBytes(tensor.type satisfies DataType, count),
          'bytes',
        ];
  if (actual !== expected) {
    const shape = `[${tensor.dims.join(', ')}]`;
    throw new OnnxError(`${where}: ${tensor.type}${shape} takes ${expected} ${unit}, it has ${actual}`);
  }
  if (tensor.type === 'string' && (tensor.bytes.byteLength > 0 || tensor.stored !== undefined)) {
    throw new OnnxError(`${where}: a string tensor cannot have raw data`);
  }
}
