import type { AttributeValue } from '../model.ts';

/** `AttributeProto.AttributeType`; types that are not here stay opaque. */
export const attributeCodes = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
  tensors: 9,
  graphs: 10,
} as const satisfies Record<Exclude<AttributeValue['type'], 'opaque'>, number>;

/** Sparse tensors, type protos and their lists, by onnx.proto. */
export const opaqueAttributeCodes: readonly number[] = [11, 12, 13, 14];
