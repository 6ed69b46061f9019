import { basename, dirname } from 'node:path';
import { storageBytes } from '../data-type.ts';
import { OnnxError } from '../error.ts';
import type { Tensor } from '../model.ts';
import { checkTensor, tensorBytes, tensorSize } from '../tensor.ts';
import { type Durability, writeAt, writeWhole } from '../whole-file.ts';
import { codeOf, maxHeaderBytes } from './header.ts';

export interface SafetensorsOptions {
  readonly metadata?: Readonly<Record<string, string>>;
  readonly durability?: Durability;
}

/**
 * Writes tensors to a `.safetensors` file, one in memory at a time; the file appears whole or not at all. The order is that
 * of the reference implementation (widest elements first, then by name), so that everything is aligned and the same tensors
 * give the same bytes. Throws `OnnxError` for repeated names and for element types that the format does not have.
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<Tensor>,
  { metadata, durability = 'full' }: SafetensorsOptions = {},
): Promise<void> {
  const sorted = [...tensors].sort((a, b) => widthOf(b) - widthOf(a) || (a.name < b.name ? -1 : 1));
  const header = headerOf(sorted, metadata, path);
  await writeWhole(dirname(path), durability, async (file) => {
    await writeAt(file, header, 0);
    let position = header.length;
    for (const tensor of sorted) {
      await writeAt(file, tensorBytes(tensor), position);
      position += tensorSize(tensor);
    }
    return basename(path);
  });
}

const widthOf = ({ type }: Tensor): number => (type === 'string' ? 0 : storageBytes(type, 1));

function headerOf(tensors: readonly Tensor[], metadata: SafetensorsOptions['metadata'], path: string): Uint8Array {
  const entries: [string, unknown][] = metadata === undefined ? [] : [['__metadata__', metadata]];
  const names = new Set(['__metadata__']);
  let end = 0;
  for (const tensor of tensors) {
    const { name, type, dims } = tensor;
    if (names.has(name)) throw new OnnxError(`${path}: tensor "${name}" occurs twice or is the format's own`);
    names.add(name);
    const dtype = codeOf(type);
    if (dtype === undefined) throw new OnnxError(`${path}: tensor "${name}": safetensors has no ${type}`);
    checkTensor(tensor, `${path}: tensor "${name}"`);
    entries.push([name, { dtype, shape: dims, data_offsets: [end, end + tensorSize(tensor)] }]);
    end += tensorSize(tensor);
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const paddedBytes = Math.ceil(json.length / 8) * 8; // with spaces, so that the tensors begin aligned
  if (paddedBytes > maxHeaderBytes) throw new OnnxError(`${path}: its header takes more than ${maxHeaderBytes} bytes`);
  const header = new Uint8Array(8 + paddedBytes).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(paddedBytes), true);
  header.set(json, 8);
  return header;
}
