import { closeSync, fstatSync, openSync } from 'node:fs';
import { OnnxError } from '../error.ts';
import type { Tensor } from '../model.ts';
import { readAt } from '../proto/external-files.ts';
import { storedTensor } from '../tensor.ts';
import { maxHeaderBytes, parseHeader } from './header.ts';

export interface SafeTensors {
  /** By name, in the order of the file; read when asked for (`valuesOf`, `floatsOf`). */
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly metadata: ReadonlyMap<string, string>;
  /** Tensors cannot be read afterwards. */
  close(): void;
}

/**
 * Opens a `.safetensors` file; its weights stay on the disk until they are asked for. Throws `OnnxError` for a file that is
 * not valid to the letter (see `parseHeader`), a file system error for a path that cannot be read.
 */
export function openSafetensors(path: string): SafeTensors {
  const fd = openSync(path, 'r');
  try {
    return tensorsOf(fd, path);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}

function tensorsOf(fd: number, path: string): SafeTensors {
  const { size } = fstatSync(fd);
  if (size < 8) throw new OnnxError(`${path}: not a safetensors file: ${size} bytes`);
  const lengthBytes = readAt(fd, 0, 8, path);
  const headerBytes = Number(new DataView(lengthBytes.buffer).getBigUint64(0, true));
  if (headerBytes < 2 || headerBytes > Math.min(maxHeaderBytes, size - 8)) {
    throw new OnnxError(`${path}: not a safetensors file: a header of ${headerBytes} bytes in ${size}`);
  }
  const dataStart = 8 + headerBytes;
  const { entries, metadata } = parseHeader(readAt(fd, 8, headerBytes, path), size - dataStart, path);
  let isClosed = false;
  const tensors = entries.map(({ name, type, dims, offset, sizeBytes }): [string, Tensor] => {
    const read = (): Uint8Array => {
      if (isClosed) throw new OnnxError(`${path}: it was closed before tensor "${name}" was read`);
      return readAt(fd, dataStart + offset, sizeBytes, `${path}: tensor "${name}"`);
    };
    return [name, storedTensor(name, type, dims, read)];
  });
  const close = (): void => {
    if (!isClosed) closeSync(fd);
    isClosed = true;
  };
  return { tensors: new Map(tensors), metadata, close };
}
