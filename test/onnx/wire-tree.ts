import { WireReader, wireTypes } from '../../src/onnx/proto/wire-reader.ts';

/** A message taken apart, so that a test can change its structure and keep every length around it right. */
export interface Field {
  field: number;
  wireType: number;
  content: Uint8Array | Field[];
}

/** Messages inside messages, by field number; everything else is bytes. */
const nested: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  Model: { 7: 'Graph', 8: 'Opset', 14: 'Entry' },
  Graph: { 1: 'Node', 5: 'Tensor', 11: 'Info', 12: 'Info', 13: 'Info' },
  Node: { 5: 'Attribute' },
  Attribute: { 5: 'Tensor', 6: 'Graph', 10: 'Tensor', 11: 'Graph' },
  Tensor: { 13: 'Entry' },
  Info: { 2: 'Type' },
  Type: { 1: 'TensorType' },
  TensorType: { 2: 'Shape' },
  Shape: { 1: 'Dimension' },
};

export function parse(bytes: Uint8Array, message = 'Model'): Field[] {
  const reader = new WireReader(bytes, message);
  const fields: Field[] = [];
  while (!reader.atEnd) {
    const { field, wireType } = reader.tag();
    const content = reader.value(wireType);
    const inner = wireType === wireTypes.bytes ? nested[message]?.[field] : undefined;
    fields.push({ field, wireType, content: inner === undefined ? content : parse(content, inner) });
  }
  return fields;
}

export function serialise(fields: readonly Field[]): Uint8Array {
  const parts = fields.flatMap(({ field, wireType, content }) => {
    const body = content instanceof Uint8Array ? content : serialise(content);
    const tag = varint(BigInt((field << 3) | wireType));
    return wireType === wireTypes.bytes ? [tag, varint(BigInt(body.length)), body] : [tag, body];
  });
  return new Uint8Array(Buffer.concat(parts));
}

export function varint(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, value);
  do {
    bytes.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Uint8Array.from(bytes);
}

/** All lists of fields in a tree: the places where something can be changed. */
export function lists(fields: Field[]): Field[][] {
  return [fields, ...fields.flatMap(({ content }) => (content instanceof Uint8Array ? [] : lists(content)))];
}
