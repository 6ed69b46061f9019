import protobuf from 'protobufjs/light.js';
import { dataTypeCode } from '../data-type.ts';
import { OnnxError } from '../error.ts';
import type { Attribute, Dim, Graph, Model, Node, StoredBytes, Tensor, ValueInfo } from '../model.ts';
import { tensorBytes, tensorSize } from '../tensor.ts';
import { validateModel } from '../validate.ts';
import { attributeCodes } from './attribute-code.ts';
import type { ExternalLocation } from './external-location.ts';
import { toInt64 } from './int64.ts';
import { fieldNumbers, GraphProto, ModelProto, TensorProto } from './schema.ts';
import { wireTypes } from './wire-reader.ts';

/**
 * The bytes of an `.onnx` file; the same model gives the same bytes. Weights go to `raw_data`, stored ones are read in.
 * Throws `OnnxError` when the model is not sound (see `validateModel`), so that no broken file is ever written, and when it
 * is larger than a protobuf file can be (`saveModel` moves its weights to a file of their own).
 */
export function encodeModel(model: Model): Uint8Array {
  const pieces = modelPieces(model);
  const bytes = new Uint8Array(Buffer.allocUnsafeSlow(checkedSize(pieces)).buffer);
  let position = 0;
  for (const piece of pieces) {
    bytes.set(piece.read(), position);
    position += piece.sizeBytes;
  }
  return bytes;
}

/** Protobuf's own limit; larger models need external data. */
export const maxFileBytes = 2 ** 31 - 1;

export function checkedSize(pieces: readonly StoredBytes[]): number {
  const sizeBytes = sizeOf(pieces);
  if (sizeBytes > maxFileBytes)
    throw new OnnxError(`model: ${sizeBytes} bytes, a protobuf file ends at ${maxFileBytes}`);
  return sizeBytes;
}

/**
 * The file as pieces one behind the other, so that weights are neither copied nor all in memory at once: those of the main
 * graph's initializers are pieces of their own, read when they are written. Initializers in `external` are written as
 * pointers to where they lie.
 */
export function modelPieces(model: Model, external: ReadonlyMap<Tensor, ExternalLocation> = new Map()): StoredBytes[] {
  validateModel(model);
  const { irVersion, producerName, producerVersion, domain, modelVersion } = model;
  const graph = graphPieces(model.graph, external);
  return [
    encoded(ModelProto, { irVersion, producerName, producerVersion, domain, modelVersion }),
    delimiter(modelFields.graph!, sizeOf(graph)),
    ...graph,
    encoded(ModelProto, {
      opsetImport: [...model.opsets].map(([name, version]) => ({ domain: name, version })),
      metadataProps: entriesTo(model.metadata),
      ...unknownsOf(model),
    }),
  ];
}

function graphPieces(graph: Graph, external: ReadonlyMap<Tensor, ExternalLocation>): StoredBytes[] {
  return [
    encoded(GraphProto, { node: graph.nodes.map(nodeTo), name: graph.name }),
    ...graph.initializers.flatMap((tensor) => {
      const pieces = tensorPieces(tensor, external.get(tensor));
      return [delimiter(graphFields.initializer!, sizeOf(pieces)), ...pieces];
    }),
    encoded(GraphProto, {
      input: graph.inputs.map(valueInfoTo),
      output: graph.outputs.map(valueInfoTo),
      valueInfo: graph.valueInfo.map(valueInfoTo),
      ...unknownsOf(graph),
    }),
  ];
}

function tensorPieces(tensor: Tensor, external: ExternalLocation | undefined): StoredBytes[] {
  if (external !== undefined) {
    const entries = { location: external.path, offset: `${external.offset}`, length: `${external.sizeBytes}` };
    const pointer = { dataLocation: 1, externalData: entriesTo(Object.entries(entries)) };
    return [encoded(TensorProto, { ...headerOf(tensor), ...pointer, ...unknownsOf(tensor) })];
  }
  if (tensor.type === 'string') return [encoded(TensorProto, tensorTo(tensor))];
  const sizeBytes = tensorSize(tensor);
  return [
    encoded(TensorProto, headerOf(tensor)),
    delimiter(tensorFields.rawData!, sizeBytes),
    { sizeBytes, read: () => tensorBytes(tensor) },
    encoded(TensorProto, unknownsOf(tensor)),
  ];
}

const modelFields = fieldNumbers('ModelProto');
const graphFields = fieldNumbers('GraphProto');
const tensorFields = fieldNumbers('TensorProto');

const sizeOf = (pieces: readonly StoredBytes[]): number => pieces.reduce((sum, piece) => sum + piece.sizeBytes, 0);

const pieceOf = (bytes: Uint8Array): StoredBytes => ({ sizeBytes: bytes.byteLength, read: () => bytes });

/** Tag and length of a length-delimited field. */
const delimiter = (field: number, sizeBytes: number): StoredBytes =>
  pieceOf(
    protobuf.Writer.create()
      .uint32((field << 3) | wireTypes.bytes)
      .uint64(sizeBytes)
      .finish(),
  );

function encoded(type: protobuf.Type, fields: object): StoredBytes {
  try {
    return pieceOf(type.encode(fields).finish());
  } catch (error) {
    if (error instanceof OnnxError) throw error;
    // protobufjs throws a plain Error when graphs nest beyond its limit of 100 messages.
    throw new OnnxError(`model: it cannot be written: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

const graphTo = (graph: Graph): object => ({
  node: graph.nodes.map(nodeTo),
  name: graph.name,
  initializer: graph.initializers.map(tensorTo),
  input: graph.inputs.map(valueInfoTo),
  output: graph.outputs.map(valueInfoTo),
  valueInfo: graph.valueInfo.map(valueInfoTo),
  ...unknownsOf(graph),
});

const nodeTo = (node: Node): object => ({
  input: node.inputs,
  output: node.outputs,
  name: node.name,
  opType: node.opType,
  attribute: node.attributes.map(attributeTo),
  domain: node.domain,
  ...unknownsOf(node),
});

function attributeTo(attribute: Attribute): object {
  const type = attribute.type === 'opaque' ? attribute.value : attributeCodes[attribute.type];
  return { name: attribute.name, type, ...attributeValueTo(attribute), ...unknownsOf(attribute) };
}

function attributeValueTo(attribute: Attribute): object {
  switch (attribute.type) {
    case 'float':
      return { f: attribute.value };
    case 'int':
      return { i: toInt64(attribute.value) };
    case 'string':
      return { s: attribute.value };
    case 'tensor':
      return { t: tensorTo(attribute.value) };
    case 'graph':
      return { g: graphTo(attribute.value) };
    case 'floats':
      return { floats: attribute.value };
    case 'ints':
      return { ints: attribute.value.map(toInt64) };
    case 'strings':
      return { strings: attribute.value };
    case 'tensors':
      return { tensors: attribute.value.map(tensorTo) };
    case 'graphs':
      return { graphs: attribute.value.map(graphTo) };
    case 'opaque':
      return {};
  }
}

const headerOf = (tensor: Tensor): object => ({
  dims: tensor.dims,
  dataType: dataTypeCode(tensor.type),
  name: tensor.name,
});

const tensorTo = (tensor: Tensor): object => ({
  ...headerOf(tensor),
  ...(tensor.type === 'string' ? { stringData: tensor.strings } : { rawData: tensorBytes(tensor) }),
  ...unknownsOf(tensor),
});

const entriesTo = (entries: Iterable<readonly [string, string]>): object[] =>
  [...entries].map(([key, value]) => ({ key, value }));

function valueInfoTo(info: ValueInfo): object {
  const hasTensorType = info.type !== undefined || info.dims !== undefined;
  const tensorType = {
    ...(info.type === undefined ? {} : { elemType: dataTypeCode(info.type) }),
    ...(info.dims === undefined ? {} : { shape: { dim: info.dims.map(dimTo) } }),
  };
  const type = {
    ...(hasTensorType ? { tensorType } : {}),
    ...(info.typeExtra === undefined ? {} : { $unknowns: info.typeExtra }),
  };
  return { name: info.name, ...(Object.keys(type).length > 0 ? { type } : {}), ...unknownsOf(info) };
}

function dimTo(dim: Dim): object {
  if (dim === undefined) return {};
  return typeof dim === 'string' ? { dimParam: dim } : { dimValue: dim };
}

const unknownsOf = (object: { readonly extra?: readonly Uint8Array[] }): object =>
  object.extra === undefined ? {} : { $unknowns: object.extra };
