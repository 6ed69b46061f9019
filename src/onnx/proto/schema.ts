import protobuf from 'protobufjs/light.js';

/**
 * The part of the ONNX protobuf schema that we interpret, by the field numbers of the specification
 * (onnx.proto, IR version 13; https://onnx.ai/onnx/repo-docs/IR.html). A field that is not here (doc strings, functions,
 * sharding, annotations, whatever comes later) is an unknown field: kept as bytes and written back.
 */
type FieldDefinition = readonly [id: number, type: string, rule?: 'repeated' | 'packed'];

const messages: Readonly<Record<string, Readonly<Record<string, FieldDefinition>>>> = {
  ModelProto: {
    irVersion: [1, 'int64'],
    producerName: [2, 'string'],
    producerVersion: [3, 'string'],
    domain: [4, 'string'],
    modelVersion: [5, 'int64'],
    graph: [7, 'GraphProto'],
    opsetImport: [8, 'OperatorSetIdProto', 'repeated'],
    metadataProps: [14, 'StringStringEntryProto', 'repeated'],
    trainingInfo: [20, 'bytes', 'repeated'], // refused, so its inside does not matter
  },
  OperatorSetIdProto: { domain: [1, 'string'], version: [2, 'int64'] },
  StringStringEntryProto: { key: [1, 'string'], value: [2, 'string'] },
  GraphProto: {
    node: [1, 'NodeProto', 'repeated'],
    name: [2, 'string'],
    initializer: [5, 'TensorProto', 'repeated'],
    input: [11, 'ValueInfoProto', 'repeated'],
    output: [12, 'ValueInfoProto', 'repeated'],
    valueInfo: [13, 'ValueInfoProto', 'repeated'],
    sparseInitializer: [15, 'bytes', 'repeated'], // refused
  },
  NodeProto: {
    input: [1, 'string', 'repeated'],
    output: [2, 'string', 'repeated'],
    name: [3, 'string'],
    opType: [4, 'string'],
    attribute: [5, 'AttributeProto', 'repeated'],
    domain: [7, 'string'],
  },
  AttributeProto: {
    name: [1, 'string'],
    f: [2, 'float'],
    i: [3, 'int64'],
    s: [4, 'bytes'],
    t: [5, 'TensorProto'],
    g: [6, 'GraphProto'],
    floats: [7, 'float', 'repeated'],
    ints: [8, 'int64', 'repeated'],
    strings: [9, 'bytes', 'repeated'],
    tensors: [10, 'TensorProto', 'repeated'],
    graphs: [11, 'GraphProto', 'repeated'],
    type: [20, 'int32'], // an enum on the wire; a plain number lets us name an unknown code in the error
  },
  TensorProto: {
    dims: [1, 'int64', 'repeated'],
    dataType: [2, 'int32'],
    segment: [3, 'bytes'], // refused
    floatData: [4, 'float', 'packed'],
    int32Data: [5, 'int32', 'packed'],
    stringData: [6, 'bytes', 'repeated'],
    int64Data: [7, 'int64', 'packed'],
    name: [8, 'string'],
    rawData: [9, 'bytes'],
    doubleData: [10, 'double', 'packed'],
    uint64Data: [11, 'uint64', 'packed'],
    externalData: [13, 'StringStringEntryProto', 'repeated'],
    dataLocation: [14, 'int32'],
  },
  ValueInfoProto: { name: [1, 'string'], type: [2, 'TypeProto'] },
  TypeProto: { tensorType: [1, 'TensorTypeProto'] },
  TensorTypeProto: { elemType: [1, 'int32'], shape: [2, 'TensorShapeProto'] },
  TensorShapeProto: { dim: [1, 'DimensionProto', 'repeated'] },
  DimensionProto: { dimValue: [1, 'int64'], dimParam: [2, 'string'] },
};

const rootOf = (typeOf: (type: string) => string): protobuf.Root =>
  protobuf.Root.fromJSON({
    nested: Object.fromEntries(
      Object.entries(messages).map(([message, fields]) => [
        message,
        {
          edition: 'proto2', // presence of zero values matters; JSON descriptors are proto3 otherwise
          fields: Object.fromEntries(
            Object.entries(fields).map(([field, [id, type, rule]]) => [
              field,
              {
                id,
                type: typeOf(type),
                ...(rule === undefined ? {} : { rule: 'repeated' as const }),
                ...(rule === 'packed' ? { options: { packed: true } } : {}),
              },
            ]),
          ),
        },
      ]),
    ),
  } as protobuf.INamespace);

const root = rootOf((type) => type);
export const ModelProto = root.lookupType('ModelProto');
export const GraphProto = root.lookupType('GraphProto');
export const TensorProto = root.lookupType('TensorProto');

/**
 * The same with tensors as plain bytes, for reading: protobufjs would make one JavaScript number (an object, for int64) of
 * every element of a typed field; `readTensor` leaves them where they are.
 */
export const ModelWithTensorBytes = rootOf((type) => (type === 'TensorProto' ? 'bytes' : type)).lookupType(
  'ModelProto',
);

/** Field numbers of a message that is read or written by hand. */
export const fieldNumbers = <M extends string>(message: M): Readonly<Record<string, number>> =>
  Object.fromEntries(Object.entries(messages[message] ?? {}).map(([field, [id]]) => [field, id]));

/** protobufjs reads 64-bit integers into the first form and writes either; numbers here are safe integers. */
export type Int64 = { low: number; high: number; unsigned: boolean } | number;

/** protobufjs puts unknown fields here; a message that has none lacks the property. */
interface Message {
  $unknowns?: Uint8Array[];
}

/** What a message of `ModelWithTensorBytes` holds: singular fields may be absent; repeated ones are arrays. */
export interface WireModel extends Message {
  irVersion?: Int64;
  producerName?: string;
  producerVersion?: string;
  domain?: string;
  modelVersion?: Int64;
  graph?: WireGraph | null;
  opsetImport: { domain?: string; version?: Int64 }[];
  metadataProps: WireEntry[];
  trainingInfo: Uint8Array[];
}
export interface WireEntry {
  key?: string;
  value?: string;
}
export interface WireGraph extends Message {
  node: WireNode[];
  name?: string;
  initializer: Uint8Array[];
  input: WireValueInfo[];
  output: WireValueInfo[];
  valueInfo: WireValueInfo[];
  sparseInitializer: Uint8Array[];
}
export interface WireNode extends Message {
  input: string[];
  output: string[];
  name?: string;
  opType?: string;
  attribute: WireAttribute[];
  domain?: string;
}
export interface WireAttribute extends Message {
  name?: string;
  f?: number;
  i?: Int64;
  s?: Uint8Array;
  t?: Uint8Array;
  g?: WireGraph | null;
  floats: number[];
  ints: Int64[];
  strings: Uint8Array[];
  tensors: Uint8Array[];
  graphs: WireGraph[];
  type?: number;
}
export interface WireValueInfo extends Message {
  name?: string;
  type?: WireType | null;
}
export interface WireType extends Message {
  tensorType?: WireTensorType | null;
}
export interface WireTensorType extends Message {
  elemType?: number;
  shape?: { dim: WireDimension[] } | null;
}
export interface WireDimension extends Message {
  dimValue?: Int64;
  dimParam?: string;
}
