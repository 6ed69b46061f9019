import { type DataType, storageBytes } from '../data-type.ts';
import { OnnxError } from '../error.ts';
import type { ByteList } from './byte-list.ts';
import { WireReader } from './wire-reader.ts';

/** The typed data fields of `TensorProto`. */
export const dataFields = ['floatData', 'doubleData', 'int32Data', 'int64Data', 'uint64Data'] as const;
export type DataField = (typeof dataFields)[number];

/** Which field holds which type: the comments of `TensorProto` in onnx.proto. */
function fieldFor(type: Exclude<DataType, 'string'>): DataField {
  switch (type) {
    case 'float32':
    case 'complex64':
      return 'floatData';
    case 'float64':
    case 'complex128':
      return 'doubleData';
    case 'int64':
      return 'int64Data';
    case 'uint32':
    case 'uint64':
      return 'uint64Data';
    default:
      return 'int32Data';
  }
}

/**
 * The elements of a typed field as `raw_data` would hold them; little-endian hosts only, as Node's. Floating-point fields
 * are such bytes already: a view. Memory is taken for the elements that are there, never for what the shape declares.
 */
export function elementsOf(
  type: Exclude<DataType, 'string'>,
  data: ReadonlyMap<DataField, ByteList>,
  count: number,
  dims: readonly number[],
  place: string,
): Uint8Array {
  const field = fieldFor(type);
  const encoded = data.get(field)?.bytes ?? new Uint8Array(0);
  const expected = storageBytes(type, count);
  const isRaw = field === 'floatData' || field === 'doubleData';
  // A type below a byte comes packed, one byte per varint.
  const width = Math.max(1, storageBytes(type, 1));
  const actual = isRaw ? encoded.length : width * countVarints(encoded);
  if (actual !== expected) {
    throw new OnnxError(
      `${place}: ${type}[${dims.join(', ')}] takes ${expected} bytes, its data field gives ${actual}`,
    );
  }
  return isRaw ? encoded : varints(encoded, width, expected, place);
}

/** A varint ends with the byte whose top bit is clear. */
function countVarints(encoded: Uint8Array): number {
  let count = 0;
  for (const byte of encoded) if (byte < 128) count++;
  return count;
}

function varints(encoded: Uint8Array, width: number, sizeBytes: number, place: string): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  const reader = new WireReader(encoded, place);
  if (width === 8) {
    const halves = new Int32Array(bytes.buffer);
    for (let i = 0; !reader.atEnd; i += 2) {
      reader.varint();
      halves[i] = reader.low;
      halves[i + 1] = reader.high;
    }
    return bytes;
  }
  const elements =
    width === 4
      ? new Int32Array(bytes.buffer)
      : width === 2
        ? new Int16Array(bytes.buffer)
        : new Int8Array(bytes.buffer);
  for (let i = 0; !reader.atEnd; i++) {
    reader.varint();
    elements[i] = reader.low;
  }
  return bytes;
}
