import { dataTypeCode } from '../data-type.ts';
import { OnnxError } from '../error.ts';
import type { Attribute, Dim, Graph, Model, Node, Tensor, ValueInfo } from '../model.ts';
import { validateModel } from '../validate.ts';
import { attributeCodes } from './attribute-code.ts';
import { toInt64 } from './int64.ts';
import { ModelProto } from './schema.ts';

/**
 * The bytes of an `.onnx` file; the same model gives the same bytes. Weights go to `raw_data`. Throws `OnnxError` when
 * the model is not sound (see `validateModel`), so that no broken file is ever written.
 */
export function encodeModel(model: Model): Uint8Array {
  validateModel(model);
  const message = {
    irVersion: model.irVersion,
    producerName: model.producerName,
    producerVersion: model.producerVersion,
    domain: model.domain,
    modelVersion: model.modelVersion,
    graph: graphTo(model.graph),
    opsetImport: [...model.opsets].map(([domain, version]) => ({ domain, version })),
    metadataProps: [...model.metadata].map(([key, value]) => ({ key, value })),
    ...unknownsOf(model),
  };
  const bytes = writeWire(message);
  if (bytes.length > maxBytes) {
    throw new OnnxError(`model: ${bytes.length} bytes, a protobuf file ends at ${maxBytes}`);
  }
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength); // not a Buffer
}

/** Protobuf's own limit; larger models need external data. */
const maxBytes = 2 ** 31 - 1;

function writeWire(message: object): Uint8Array {
  try {
    return ModelProto.encode(message).finish();
  } catch (error) {
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

const tensorTo = (tensor: Tensor): object => ({
  dims: tensor.dims,
  dataType: dataTypeCode(tensor.type),
  name: tensor.name,
  ...(tensor.type === 'string' ? { stringData: tensor.strings } : { rawData: tensor.bytes }),
  ...unknownsOf(tensor),
});

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
