import { dataTypeFromCode } from '../data-type.ts';
import { OnnxError } from '../error.ts';
import type { Tensor } from '../model.ts';
import { checkTensor, elementCount } from '../tensor.ts';
import { ByteList } from './byte-list.ts';
import type { ExternalFiles } from './external-files.ts';
import { externalLocation, readEntry } from './external-location.ts';
import { safeInt } from './int64.ts';
import { fieldNumbers } from './schema.ts';
import { type DataField, dataFields, elementsOf } from './tensor-data.ts';
import { WireReader, wireTypes } from './wire-reader.ts';

const ids = fieldNumbers('TensorProto');
const dataFieldById = new Map(dataFields.map((field) => [ids[field]!, field]));

/** The fields of a `TensorProto`, nothing interpreted. */
interface Parts {
  name: string;
  typeCode: number;
  dims: number[];
  /** By field, whether packed or element by element. */
  data: Map<DataField, ByteList>;
  raw: Uint8Array | undefined;
  strings: Uint8Array[];
  external: Map<string, string>;
  isExternal: boolean;
  extra: Uint8Array[];
}

/**
 * One representation out of the wire's eight: `raw_data`, `float_data` and `double_data` stay views on the file's bytes,
 * the varints of the other typed fields are written out as `raw_data` would hold them, external data are read when asked
 * for. Throws `OnnxError` for what is cut off, when sizes and shape disagree, and for external data without `files`.
 */
export function readTensor(bytes: Uint8Array, where: string, files: ExternalFiles | undefined): Tensor {
  const parts = partsOf(bytes, where);
  const place = parts.name === '' ? where : `${where} "${parts.name}"`;
  const type = dataTypeFromCode(parts.typeCode, place);
  const { name, dims, strings, raw } = parts;
  const base = { name, dims, ...(parts.extra.length === 0 ? {} : { extra: parts.extra }) };
  const payloads = [...parts.data.values()].filter((list) => !list.isEmpty).length;
  const given = payloads + Number((raw?.length ?? 0) > 0) + Number(strings.length > 0);
  if (given > 1) throw new OnnxError(`${place}: more than one data field is set`);

  let tensor: Tensor;
  if (parts.isExternal || parts.external.size > 0) {
    if (given > 0) throw new OnnxError(`${place}: it has external data and data of its own`);
    if (type === 'string') throw new OnnxError(`${place}: strings cannot be external data`);
    if (files === undefined) {
      throw new OnnxError(`${place}: its data lie in another file (external data); open the model by its path`);
    }
    const location = externalLocation(parts.external, type, dims, place);
    tensor = { ...base, type, bytes: new Uint8Array(0), stored: files.stored(location, place) };
  } else if (type === 'string') {
    tensor = { ...base, type, bytes: new Uint8Array(0), strings };
  } else {
    const count = elementCount(dims, place);
    const own = raw !== undefined && raw.length > 0 ? raw : elementsOf(type, parts.data, count, dims, place);
    tensor = { ...base, type, bytes: own };
  }
  checkTensor(tensor, place);
  return tensor;
}

function partsOf(bytes: Uint8Array, where: string): Parts {
  const reader = new WireReader(bytes, where);
  const parts: Parts = {
    name: '',
    typeCode: 0,
    dims: [],
    data: new Map(),
    raw: undefined,
    strings: [],
    external: new Map(),
    isExternal: false,
    extra: [],
  };
  while (!reader.atEnd) {
    const start = reader.position;
    const { field, wireType } = reader.tag();
    const content = reader.value(wireType);
    const dataField = dataFieldById.get(field);
    if (dataField !== undefined) {
      const list = parts.data.get(dataField) ?? new ByteList();
      parts.data.set(dataField, list);
      list.append(content);
    } else if (!interpret(parts, field, wireType, content, where)) {
      parts.extra.push(reader.since(start));
    }
  }
  return parts;
}

/** Whether the field was one that we know. */
function interpret(parts: Parts, field: number, wireType: number, content: Uint8Array, where: string): boolean {
  switch (field) {
    case ids.dims: {
      const dims = new WireReader(content, where); // packed or single: varints either way
      while (!dims.atEnd) parts.dims.push(safeInt(dims.int(), `${where}: dimension ${parts.dims.length}`));
      return true;
    }
    case ids.dataType:
      parts.typeCode = number(content, wireType, where);
      return true;
    case ids.name:
      parts.name = new TextDecoder().decode(delimited(content, wireType, where));
      return true;
    case ids.rawData:
      parts.raw = delimited(content, wireType, where);
      return true;
    case ids.stringData:
      parts.strings.push(delimited(content, wireType, where));
      return true;
    case ids.externalData: {
      const [key, value] = readEntry(delimited(content, wireType, where), where);
      if (parts.external.has(key)) throw new OnnxError(`${where}: external data: "${key}" occurs twice`);
      parts.external.set(key, value);
      return true;
    }
    case ids.dataLocation:
      parts.isExternal = number(content, wireType, where) === 1;
      return true;
    case ids.segment:
      throw new OnnxError(`${where}: segmented tensors are not supported`);
    default:
      return false;
  }
}

function number(content: Uint8Array, wireType: number, where: string): number {
  if (wireType !== wireTypes.varint)
    throw new OnnxError(`${where}: not ONNX: expected a number, wire type ${wireType}`);
  return safeInt(new WireReader(content, where).int(), where);
}

function delimited(content: Uint8Array, wireType: number, where: string): Uint8Array {
  if (wireType !== wireTypes.bytes) throw new OnnxError(`${where}: not ONNX: expected bytes, wire type ${wireType}`);
  return content;
}
