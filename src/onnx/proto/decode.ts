import protobuf from 'protobufjs/light.js';
import { dataTypeFromCode } from '../data-type.ts';
import { OnnxError } from '../error.ts';
import type { Attribute, AttributeValue, Dim, Extra, Graph, Model, Node, ValueInfo } from '../model.ts';
import { validateModel } from '../validate.ts';
import { attributeCodes, opaqueAttributeCodes } from './attribute-code.ts';
import type { ExternalFiles } from './external-files.ts';
import { fromInt64, safeInt } from './int64.ts';
import { readTensor } from './read-tensor.ts';
import {
  ModelWithTensorBytes,
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
 * match shapes, unknown types, broken graphs, and external data unless `files` are given (`openModel` does so).
 */
export function decodeModel(bytes: Uint8Array, files?: ExternalFiles): Model {
  const model = new Decoder(files).model(readWire(bytes));
  validateModel(model);
  return model;
}

function readWire(bytes: Uint8Array): WireModel {
  // A plain view, so that Buffers do not leak into the model as Buffers.
  const reader = protobuf.Reader.create(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  reader.discardUnknown = false;
  try {
    return ModelWithTensorBytes.decode(reader) as unknown as WireModel;
  } catch (error) {
    // protobufjs throws RangeError and Error for truncated or foreign bytes and for nesting beyond its limit.
    throw new OnnxError(`not an ONNX model, or cut off: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

/** From the wire to the model; holds where external data are to be looked for. */
class Decoder {
  private readonly files: ExternalFiles | undefined;

  constructor(files: ExternalFiles | undefined) {
    this.files = files;
  }

  model(wire: WireModel): Model {
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
      graph: this.graph(wire.graph, 'graph'),
      metadata,
      ...extraOf(wire),
    };
  }

  private graph(wire: WireGraph, where: string): Graph {
    if (wire.sparseInitializer.length > 0) throw new OnnxError(`${where}: sparse initializers are not supported`);
    return {
      name: wire.name ?? '',
      nodes: wire.node.map((node, i) => this.node(node, `${where}: node ${i}`)),
      initializers: wire.initializer.map((tensor, i) => readTensor(tensor, `${where}: initializer ${i}`, this.files)),
      inputs: wire.input.map((info) => valueInfoFrom(info, `${where}: input`)),
      outputs: wire.output.map((info) => valueInfoFrom(info, `${where}: output`)),
      valueInfo: wire.valueInfo.map((info) => valueInfoFrom(info, `${where}: value info`)),
      ...extraOf(wire),
    };
  }

  private node(wire: WireNode, where: string): Node {
    const opType = wire.opType ?? '';
    const place = `${where} (${opType}${wire.name ? ` "${wire.name}"` : ''})`;
    return {
      name: wire.name ?? '',
      opType,
      domain: wire.domain === undefined || wire.domain === 'ai.onnx' ? '' : wire.domain,
      inputs: wire.input,
      outputs: wire.output,
      attributes: wire.attribute.map((attribute) => this.attribute(attribute, place)),
      ...extraOf(wire),
    };
  }

  private attribute(wire: WireAttribute, where: string): Attribute {
    const name = wire.name ?? '';
    const place = `${where}: attribute "${name}"`;
    return { name, ...this.attributeValue(wire, place), ...extraOf(wire) };
  }

  private attributeValue(wire: WireAttribute, place: string): AttributeValue {
    const code = wire.type ?? 0;
    switch (code) {
      case attributeCodes.float:
        return { type: 'float', value: wire.f ?? 0 };
      case attributeCodes.int:
        return { type: 'int', value: fromInt64(wire.i ?? 0) };
      case attributeCodes.string:
        return { type: 'string', value: Object.hasOwn(wire, 's') && wire.s ? wire.s : new Uint8Array(0) };
      case attributeCodes.tensor:
        if (!Object.hasOwn(wire, 't') || !wire.t) throw new OnnxError(`${place}: it has no tensor`);
        return { type: 'tensor', value: readTensor(wire.t, place, this.files) };
      case attributeCodes.graph:
        if (!wire.g) throw new OnnxError(`${place}: it has no graph`);
        return { type: 'graph', value: this.graph(wire.g, place) };
      case attributeCodes.floats:
        return { type: 'floats', value: wire.floats };
      case attributeCodes.ints:
        return { type: 'ints', value: wire.ints.map(fromInt64) };
      case attributeCodes.strings:
        return { type: 'strings', value: wire.strings };
      case attributeCodes.tensors:
        return {
          type: 'tensors',
          value: wire.tensors.map((tensor, i) => readTensor(tensor, `${place}[${i}]`, this.files)),
        };
      case attributeCodes.graphs:
        return { type: 'graphs', value: wire.graphs.map((graph, i) => this.graph(graph, `${place}[${i}]`)) };
      default:
        if (opaqueAttributeCodes.includes(code)) return { type: 'opaque', value: code };
        throw new OnnxError(`${place}: unknown attribute type ${code}`);
    }
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
