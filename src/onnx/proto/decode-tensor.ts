import { type DataType, dataTypeFromCode, storageBytes } from '../data-type.ts';
import { OnnxError } from '../error.ts';
import type { Tensor } from '../model.ts';
import { checkTensor, elementCount } from '../tensor.ts';
import { safeInt } from './int64.ts';
import type { Int64, WireTensor } from './schema.ts';

/**
 * One representation out of the wire's seven: `raw_data` stays a view on the file's bytes, a typed field is written out
 * as the bytes that `raw_data` would hold. Throws `OnnxError` when sizes and shape disagree.
 */
export function decodeTensor(wire: WireTensor, where: string): Tensor {
  const name = wire.name ?? '';
  const place = name === '' ? where : `${where} "${name}"`;
  if (wire.dataLocation === 1 || wire.externalData.length > 0) {
    throw new OnnxError(`${place}: its data lie in another file (external data), which is not supported yet`);
  }
  if (Object.hasOwn(wire, 'segment')) throw new OnnxError(`${place}: segmented tensors are not supported`);
  const type = dataTypeFromCode(wire.dataType ?? 0, place);
  const dims = wire.dims.map((dim, i) => safeInt(dim, `${place}: dimension ${i}`));
  const payloads = [
    wire.rawData?.length,
    wire.floatData.length,
    wire.int32Data.length,
    wire.stringData.length,
    wire.int64Data.length,
    wire.doubleData.length,
    wire.uint64Data.length,
  ].filter((length) => length !== undefined && length > 0).length;
  if (payloads > 1) throw new OnnxError(`${place}: more than one data field is set`);

  const base = { name, dims, ...(wire.$unknowns === undefined ? {} : { extra: wire.$unknowns }) };
  const tensor: Tensor =
    type === 'string'
      ? { ...base, type, bytes: new Uint8Array(0), strings: wire.stringData }
      : { ...base, type, bytes: payload(wire, type, elementCount(dims, place), place) };
  checkTensor(tensor, place);
  return tensor;
}

function payload(wire: WireTensor, type: Exclude<DataType, 'string'>, count: number, place: string): Uint8Array {
  if (wire.rawData !== undefined && wire.rawData.length > 0) return wire.rawData;
  if (count === 0) return new Uint8Array(0);
  const expectBytes = storageBytes(type, count);
  const typed = typedField(wire, type);
  if (typed.byteLength !== expectBytes) {
    const shape = `[${wire.dims.map((dim) => safeInt(dim, place)).join(', ')}]`;
    throw new OnnxError(
      `${place}: ${type}${shape} takes ${expectBytes} bytes, its data field gives ${typed.byteLength}`,
    );
  }
  return new Uint8Array(typed.buffer, typed.byteOffset, typed.byteLength);
}

/** Which field holds which type, and how: the comments of `TensorProto` in onnx.proto. Little-endian hosts only, as Node's. */
function typedField(wire: WireTensor, type: Exclude<DataType, 'string'>): ArrayBufferView<ArrayBuffer> {
  switch (type) {
    case 'float32':
    case 'complex64':
      return Float32Array.from(wire.floatData);
    case 'float64':
    case 'complex128':
      return Float64Array.from(wire.doubleData);
    case 'int64':
      return BigInt64Array.from(wire.int64Data, toBigInt);
    case 'uint32':
      return Uint32Array.from(wire.uint64Data, (value) => Number(BigInt.asUintN(32, toBigInt(value))));
    case 'uint64':
      return BigUint64Array.from(wire.uint64Data, toBigInt);
    case 'int32':
      return Int32Array.from(wire.int32Data);
    case 'int16':
    case 'uint16':
    case 'float16':
    case 'bfloat16':
      return Uint16Array.from(wire.int32Data);
    default:
      return Uint8Array.from(wire.int32Data); // one byte each; types below a byte come packed
  }
}

function toBigInt(value: Int64): bigint {
  return typeof value === 'number' ? BigInt(value) : (BigInt(value.high >>> 0) << 32n) | BigInt(value.low >>> 0);
}
