import { type FileHandle, open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type DataType, storageBytes } from '../../data-type.ts';
import { OnnxError } from '../../error.ts';
import type { Model, Tensor } from '../../model.ts';
import type { CalibrationBatch } from './batches.ts';

/** What numpy calls our element types (little-endian); https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html */
const types: Readonly<Record<string, Exclude<DataType, 'string'>>> = {
  '<f4': 'float32',
  '<f8': 'float64',
  '<f2': 'float16',
  '<i8': 'int64',
  '<i4': 'int32',
  '|i1': 'int8',
  '|u1': 'uint8',
  '|b1': 'bool',
};

interface NpyFile {
  readonly name: string;
  readonly path: string;
  readonly file: FileHandle;
  readonly type: Exclude<DataType, 'string'>;
  /** Rows first. */
  readonly dims: readonly number[];
  readonly dataOffset: number;
}

/**
 * Calibration batches from a folder with one `<input>.npy` per model input, as `numpy.save` writes them: the same number of
 * rows in each, along the first axis. Reads `rowsPerBatch` rows at a time, whatever the files' size. Throws `OnnxError` for
 * a missing file, a format that is not a plain little-endian C-ordered array, files of different lengths or cut off.
 */
export async function* npyBatches(
  folder: string,
  { graph }: Model,
  rowsPerBatch: number,
): AsyncGenerator<CalibrationBatch> {
  const defaults = new Set(graph.initializers.map(({ name }) => name));
  const inputs = graph.inputs.map(({ name }) => name).filter((name) => !defaults.has(name));
  // Names come from a model: only files that the folder lists are opened, so no name leads out of it.
  const listed = new Set(await readdir(folder));
  const files: NpyFile[] = [];
  try {
    for (const name of inputs) {
      if (!listed.has(`${name}.npy`)) throw new OnnxError(`${folder}: expected "${name}.npy" for the model's input`);
      files.push(await openNpy(name, join(folder, `${name}.npy`)));
    }
    const rows = files[0]?.dims[0] ?? 0;
    for (const { path, dims } of files) {
      if (dims[0] !== rows) throw new OnnxError(`${path}: ${dims[0]} rows, "${files[0]!.path}" has ${rows}`);
    }
    for (let from = 0; from < rows; from += rowsPerBatch) {
      const to = Math.min(rows, from + rowsPerBatch);
      yield await Promise.all(files.map((file) => readRows(file, from, to)));
    }
  } finally {
    await Promise.all(files.map(({ file }) => file.close()));
  }
}

async function openNpy(name: string, path: string): Promise<NpyFile> {
  const file = await open(path, 'r');
  try {
    const start = await readAt(file, 0, 12, path);
    const [major, isLong] = [start[6]!, start[6]! >= 2];
    if (start.subarray(0, 6).toString('latin1') !== '\x93NUMPY' || major < 1 || major > 3) {
      throw new OnnxError(`${path}: it is no .npy file of version 1 to 3`);
    }
    const headerBytes = isLong ? start.readUInt32LE(8) : start.readUInt16LE(8);
    const headerOffset = isLong ? 12 : 10;
    // numpy pads headers to 64 bytes; a longer one is no array's of our kind.
    if (headerBytes > 65_536) throw new OnnxError(`${path}: a header of ${headerBytes} bytes`);
    const header = (await readAt(file, headerOffset, headerBytes, path)).toString('latin1');
    return { name, path, file, ...parseHeader(header, path), dataOffset: headerOffset + headerBytes };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** `{'descr': '<f4', 'fortran_order': False, 'shape': (256, 784), }` */
function parseHeader(header: string, path: string): Pick<NpyFile, 'type' | 'dims'> {
  const descr = /'descr':\s*'([^']*)'/.exec(header)?.[1];
  const order = /'fortran_order':\s*(True|False)/.exec(header)?.[1];
  const shape = /'shape':\s*\(([\d,\s]*)\)/.exec(header)?.[1];
  const type = types[descr ?? ''];
  if (type === undefined)
    throw new OnnxError(`${path}: element type "${descr}", expected one of ${Object.keys(types)}`);
  if (order !== 'False') throw new OnnxError(`${path}: expected C order (numpy.ascontiguousarray)`);
  const dims = (shape ?? '')
    .split(',')
    .filter((dim) => dim.trim() !== '')
    .map(Number);
  if (dims.length === 0) throw new OnnxError(`${path}: expected rows along a first axis, its shape is (${shape})`);
  return { type, dims };
}

async function readRows(
  { name, path, file, type, dims, dataOffset }: NpyFile,
  from: number,
  to: number,
): Promise<Tensor> {
  const rowBytes = storageBytes(
    type,
    dims.slice(1).reduce((product, dim) => product * dim, 1),
  );
  const bytes = await readAt(file, dataOffset + from * rowBytes, (to - from) * rowBytes, path);
  return { name, type, dims: [to - from, ...dims.slice(1)], bytes };
}

async function readAt(file: FileHandle, offset: number, length: number, path: string): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  for (let read = 0; read < length; ) {
    const { bytesRead } = await file.read(buffer, read, length - read, offset + read);
    if (bytesRead === 0) throw new OnnxError(`${path}: it is cut off at ${offset + read} bytes`);
    read += bytesRead;
  }
  return buffer;
}
