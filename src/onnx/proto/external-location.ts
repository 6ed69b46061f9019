import { isSafeRelativePath } from '../../contracts/digest.ts';
import { type DataType, storageBytes } from '../data-type.ts';
import { OnnxError } from '../error.ts';
import { elementCount } from '../tensor.ts';
import { WireReader } from './wire-reader.ts';

/** Where the bytes of an external tensor lie. */
export interface ExternalLocation {
  /** Relative to the model's folder, with `/`, inside it. */
  readonly path: string;
  readonly offset: number;
  readonly sizeBytes: number;
}

/**
 * Reads `location`, `offset` (default 0) and `length` (default: what the shape says); other keys (`checksum`) are not
 * ours. A model is somebody else's word, so a path that could leave its folder is refused here, before any file is touched
 * (https://onnx.ai/onnx/repo-docs/ExternalData.html).
 */
export function externalLocation(
  entries: ReadonlyMap<string, string>,
  type: Exclude<DataType, 'string'>,
  dims: readonly number[],
  place: string,
): ExternalLocation {
  const path = entries.get('location');
  if (path === undefined) throw new OnnxError(`${place}: external data without a location`);
  if (!isSafeRelativePath(path)) {
    throw new OnnxError(
      `${place}: external data at ${JSON.stringify(path.slice(0, 200))}: expected a relative path inside the model's folder`,
    );
  }
  const expected = storageBytes(type, elementCount(dims, place));
  const sizeBytes = decimal(entries.get('length'), expected, `${place}: length of external data`);
  if (sizeBytes !== expected) {
    throw new OnnxError(
      `${place}: ${type}[${dims.join(', ')}] takes ${expected} bytes, its external data ${sizeBytes}`,
    );
  }
  return { path, offset: decimal(entries.get('offset'), 0, `${place}: offset of external data`), sizeBytes };
}

function decimal(text: string | undefined, fallback: number, where: string): number {
  if (text === undefined) return fallback;
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value))
    throw new OnnxError(`${where}: expected a number of bytes, got "${text.slice(0, 40)}"`);
  return value;
}

/** A `StringStringEntryProto`. */
export function readEntry(bytes: Uint8Array, where: string): [key: string, value: string] {
  const reader = new WireReader(bytes, where);
  let key = '';
  let value = '';
  while (!reader.atEnd) {
    const { field, wireType } = reader.tag();
    const text = new TextDecoder().decode(reader.value(wireType));
    if (field === 1) key = text;
    else if (field === 2) value = text;
  }
  return [key, value];
}
