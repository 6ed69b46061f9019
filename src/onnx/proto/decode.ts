import protobuf from 'protobufjs/light.js';
import { dataTypeFromCode } from '../data-type.ts';
import { OnnxError } from '../error.ts';
import type { Attribute, AttributeValue, Dim, Extra, Graph, Model, Node, ValueInfo } from '../model.ts';
import { validateModel } from '../validate.ts';
import { attributeCodes, opaqueAttributeCodes } from './attribute-code.ts';
import { decodeTensor } from './decode-tensor.ts';
import { fromInt64, safeInt } from './int64.ts';
import {
  ModelProto,
  type WireAttribute,
  type WireDimension,
  type WireGraph,
  type WireModel,
  type WireNode,
  type WireValueInfo,
} from './schema.ts';

/**
 * Reads an `.onnx` file and checks it (see `validateModel`). Weights stay views on `bytes`, so `bytes` must not change
 * afterwards. Throws `OnnxError` for everything that is not a sound model: truncated or foreign bytes, sizes that do not
 * match shapes, unknown types, broken graphs, external data.
 */
export function decodeModel(bytes: Uint8Array): Model {
  const model = modelFrom(readWire(bytes));
  validateModel(model);
  return model;
}

function readWire(bytes: Uint8Array): WireModel {
  // A plain view, so that Buffers do not leak into the model as Buffers.
  const reader = protobuf.Reader.create(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  reader.discardUnknown = false;
  try {
    return ModelProto.decode(reader) as unknown as WireModel;
  } catch (error) {
    // protobufjs throws RangeError and Error for truncated or foreign bytes and for nesting beyond its limit.
    throw new OnnxError(`not an ONNX model, or cut off: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

function modelFrom(wire: WireModel): Model {
  if (!wire.graph) throw new OnnxError('model: it has no graph');
  if (wire.trainingInfo.length > 0) throw new OnnxError('model: training_info is not supported');
  const opsets = new Map<string, number>();
  for (const { domain, version } of wire.opsetImport) {
    const key = domain === undefined || domain === 'ai.onnx' ? '' : domain;
    if (opsets.has(key)) throw new OnnxError(`model: operator set "${key}" is imported twice`);
    opsets.set(key, safeInt(version ?? 0, `model: version of operator set "${key}"`));
  }
  const metadata = new Map<string, string>();
  for (const { key = '', value = '' } of wire.metadataProps) {
    if (metadata.has(key)) throw new OnnxError(`model: metadata key "${key}" occurs twice`);
    metadata.set(key, value);
  }
  return {
    irVersion: safeInt(wire.irVersion ?? 0, 'model: IR version'),
    opsets,
    producerName: wire.producerName ?? '',
    producerVersion: wire.producerVersion ?? '',
    domain: wire.domain ?? '',
    modelVersion: safeInt(wire.modelVersion ?? 0, 'model: model version'),
    graph: graphFrom(wire.graph, 'graph'),
    metadata,
    ...extraOf(wire),
  };
}

function graphFrom(wire: WireGraph, where: string): Graph {
  if (wire.sparseInitializer.length > 0) throw new OnnxError(`${where}: sparse initializers are not supported`);
  return {
    name: wire.name ?? '',
    nodes: wire.node.map((node, i) => nodeFrom(node, `${where}: node ${i}`)),
    initializers: wire.initializer.map((tensor, i) => decodeTensor(tensor, `${where}: initializer ${i}`)),
    inputs: wire.input.map((info) => valueInfoFrom(info, `${where}: input`)),
    outputs: wire.output.map((info) => valueInfoFrom(info, `${where}: output`)),
    valueInfo: wire.valueInfo.map((info) => valueInfoFrom(info, `${where}: value info`)),
    ...extraOf(wire),
  };
}

function nodeFrom(wire: WireNode, where: string): Node {
  const opType = wire.opType ?? '';
  const place = `${where} (${opType}${wire.name ? ` "${wire.name}"` : ''})`;
  return {
    name: wire.name ?? '',
    opType,
    domain: wire.domain === undefined || wire.domain === 'ai.onnx' ? '' : wire.domain,
    inputs: wire.input,
    outputs: wire.output,
    attributes: wire.attribute.map((attribute) => attributeFrom(attribute, place)),
    ...extraOf(wire),
  };
}

function attributeFrom(wire: WireAttribute, where: string): Attribute {
  const name = wire.name ?? '';
  const place = `${where}: attribute "${name}"`;
  return { name, ...attributeValueFrom(wire, place), ...extraOf(wire) };
}

function attributeValueFrom(wire: WireAttribute, place: string): AttributeValue {
  const code = wire.type ?? 0;
  switch (code) {
    case attributeCodes.float:
      return { type: 'float', value: wire.f ?? 0 };
    case attributeCodes.int:
      return { type: 'int', value: fromInt64(wire.i ?? 0) };
    case attributeCodes.string:
      return { type: 'string', value: Object.hasOwn(wire, 's') && wire.s ? wire.s : new Uint8Array(0) };
    case attributeCodes.tensor:
      if (!wire.t) throw new OnnxError(`${place}: it has no tensor`);
      return { type: 'tensor', value: decodeTensor(wire.t, place) };
    case attributeCodes.graph:
      if (!wire.g) throw new OnnxError(`${place}: it has no graph`);
      return { type: 'graph', value: graphFrom(wire.g, place) };
    case attributeCodes.floats:
      return { type: 'floats', value: wire.floats };
    case attributeCodes.ints:
      return { type: 'ints', value: wire.ints.map(fromInt64) };
    case attributeCodes.strings:
      return { type: 'strings', value: wire.strings };
    case attributeCodes.tensors:
      return { type: 'tensors', value: wire.tensors.map((tensor, i) => decodeTensor(tensor, `${place}[${i}]`)) };
    case attributeCodes.graphs:
      return { type: 'graphs', value: wire.graphs.map((graph, i) => graphFrom(graph, `${place}[${i}]`)) };
    default:
      if (opaqueAttributeCodes.includes(code)) return { type: 'opaque', value: code };
      throw new OnnxError(`${place}: unknown attribute type ${code}`);
  }
}

function valueInfoFrom(wire: WireValueInfo, where: string): ValueInfo {
  const name = wire.name ?? '';
  const place = `${where} "${name}"`;
  const tensorType = wire.type?.tensorType;
  const elementCode = tensorType?.elemType ?? 0;
  return {
    name,
    // Code 0 is "undefined": exporters write it for values whose type they did not infer.
    type: elementCode === 0 ? undefined : dataTypeFromCode(elementCode, place),
    dims: tensorType?.shape?.dim.map((dim, i) => dimFrom(dim, `${place}: dimension ${i}`)),
    ...(wire.type?.$unknowns === undefined ? {} : { typeExtra: wire.type.$unknowns }),
    ...extraOf(wire),
  };
}

function dimFrom(wire: WireDimension, where: string): Dim {
  // Absent fields read as defaults from the prototype, so presence has to be asked for.
  if (Object.hasOwn(wire, 'dimParam')) return wire.dimParam;
  return Object.hasOwn(wire, 'dimValue') ? safeInt(wire.dimValue ?? 0, where) : undefined;
}

const extraOf = (wire: { $unknowns?: Uint8Array[] }): Extra =>
  wire.$unknowns === undefined ? {} : { extra: wire.$unknowns };
