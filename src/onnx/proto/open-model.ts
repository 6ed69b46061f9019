import { closeSync, fstatSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { OnnxError } from '../error.ts';
import type { Model } from '../model.ts';
import { decodeModel } from './decode.ts';
import { maxFileBytes } from './encode.ts';
import { ExternalFiles, readAt } from './external-files.ts';

export interface OpenedModel {
  readonly model: Model;
  /** Closes the data files beside the model; stored weights cannot be read afterwards. */
  close(): void;
}

/**
 * Opens a model by its path, of any size: weights inside the file are views on its bytes, weights in data files beside it
 * (external data) are `stored` and read when asked for, one at a time. Throws `OnnxError` for everything that is not a
 * sound model, and for external data that are not plain files inside the model's folder or are too short; a file system
 * error for a path that cannot be read.
 */
export function openModel(path: string): OpenedModel {
  const files = new ExternalFiles(dirname(path));
  try {
    const model = decodeModel(readWhole(path), files);
    return { model, close: () => files.close() };
  } catch (error) {
    files.close();
    throw error;
  }
}

function readWhole(path: string): Uint8Array {
  const fd = openSync(path, 'r');
  try {
    const { size } = fstatSync(fd);
    if (size > maxFileBytes) throw new OnnxError(`${path}: ${size} bytes, a protobuf file ends at ${maxFileBytes}`);
    return readAt(fd, 0, size, path);
  } finally {
    closeSync(fd);
  }
}
