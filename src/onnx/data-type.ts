import { OnnxError } from './error.ts';

/** Element types by their code in `TensorProto.DataType` (onnx.proto, IR version 13); names as ONNX Runtime spells them. */
const dataTypeCodes = {
  float32: 1,
  uint8: 2,
  int8: 3,
  uint16: 4,
  int16: 5,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  float64: 11,
  uint32: 12,
  uint64: 13,
  complex64: 14,
  complex128: 15,
  bfloat16: 16,
  float8e4m3fn: 17,
  float8e4m3fnuz: 18,
  float8e5m2: 19,
  float8e5m2fnuz: 20,
  uint4: 21,
  int4: 22,
  float4e2m1: 23,
  float8e8m0: 24,
  uint2: 25,
  int2: 26,
} as const;

export type DataType = keyof typeof dataTypeCodes;

const namesByCode = new Map<number, DataType>(
  Object.entries(dataTypeCodes).map(([name, code]) => [code, name as DataType]),
);

/** Bits of one element in `raw_data`; strings have no raw form. */
const elementBits: Readonly<Record<Exclude<DataType, 'string'>, number>> = {
  float32: 32,
  uint8: 8,
  int8: 8,
  uint16: 16,
  int16: 16,
  int32: 32,
  int64: 64,
  bool: 8,
  float16: 16,
  float64: 64,
  uint32: 32,
  uint64: 64,
  complex64: 64,
  complex128: 128,
  bfloat16: 16,
  float8e4m3fn: 8,
  float8e4m3fnuz: 8,
  float8e5m2: 8,
  float8e5m2fnuz: 8,
  uint4: 4,
  int4: 4,
  float4e2m1: 4,
  float8e8m0: 8,
  uint2: 2,
  int2: 2,
};

export const dataTypeCode = (type: DataType): number => dataTypeCodes[type];

/** Throws `OnnxError` for a code that this version does not know. */
export function dataTypeFromCode(code: number, where: string): DataType {
  const type = namesByCode.get(code);
  if (type === undefined) throw new OnnxError(`${where}: unknown element type ${code}`);
  return type;
}

/** Bytes that `count` elements take in `raw_data`; types below a byte are packed, low bits first. */
export function storageBytes(type: Exclude<DataType, 'string'>, count: number): number {
  return Math.ceil((count * elementBits[type]) / 8);
}
