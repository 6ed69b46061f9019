import { z } from 'zod';
import { type DataType, storageBytes } from '../data-type.ts';
import { OnnxError } from '../error.ts';
import { elementCount } from '../tensor.ts';

/**
 * The safetensors format (https://github.com/huggingface/safetensors): 8 bytes length of the header, the header (JSON), the
 * tensors' bytes without a gap. Element types that this version does not know are refused.
 */
const typesByCode = {
  F64: 'float64',
  F32: 'float32',
  F16: 'float16',
  BF16: 'bfloat16',
  I64: 'int64',
  I32: 'int32',
  I16: 'int16',
  I8: 'int8',
  U64: 'uint64',
  U32: 'uint32',
  U16: 'uint16',
  U8: 'uint8',
  BOOL: 'bool',
} as const satisfies Record<string, DataType>;
export type SafeTensorType = (typeof typesByCode)[keyof typeof typesByCode];

export const codeOf = (type: DataType): string | undefined =>
  Object.entries(typesByCode).find(([, candidate]) => candidate === type)?.[0];

/** The format allows 100 MB; the largest model in use needs 2 MB, and a header of 100,000 names is an attack. */
export const maxHeaderBytes = 16 * 2 ** 20;

export interface TensorEntry {
  readonly name: string;
  readonly type: SafeTensorType;
  readonly dims: readonly number[];
  /** Position behind the header. */
  readonly offset: number;
  readonly sizeBytes: number;
}

const size = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
const entrySchema = z.strictObject({
  dtype: z.string(),
  shape: z.array(size).max(32),
  data_offsets: z.tuple([size, size]),
});

/**
 * Reads the header of a file whose tensors take `dataBytes`. Throws `OnnxError` unless it is valid to the letter: every
 * tensor as long as its shape says, no gap, no overlap, nothing behind the last one. (A gap is where another format hides;
 * it also is what a name that occurs twice leaves.)
 */
export function parseHeader(
  json: Uint8Array,
  dataBytes: number,
  where: string,
): { entries: TensorEntry[]; metadata: ReadonlyMap<string, string> } {
  if (json[0] !== 0x7b) throw new OnnxError(`${where}: its header does not begin with "{"`);
  const { __metadata__: rawMetadata, ...tensors } = parseJson(json, where);
  const metadata = z.record(z.string(), z.string()).optional().safeParse(rawMetadata);
  if (!metadata.success) throw new OnnxError(`${where}: __metadata__: expected texts by name`);
  const entries = Object.entries(tensors).map(([name, value]) => entryOf(name, value, where));
  entries.sort((a, b) => a.offset - b.offset || a.sizeBytes - b.sizeBytes);
  let end = 0;
  for (const { name, offset, sizeBytes } of entries) {
    if (offset !== end) {
      const what = offset > end ? 'a gap before it' : 'it overlaps the tensor before it';
      throw new OnnxError(`${where}: tensor "${name}" begins at ${offset}, expected ${end}: ${what}`);
    }
    end += sizeBytes;
  }
  if (end !== dataBytes) throw new OnnxError(`${where}: its tensors take ${end} bytes, the file has ${dataBytes}`);
  return { entries, metadata: new Map(Object.entries(metadata.data ?? {})) };
}

function entryOf(name: string, value: unknown, where: string): TensorEntry {
  const place = `${where}: tensor "${name}"`;
  const parsed = entrySchema.safeParse(value);
  if (!parsed.success) throw new OnnxError(`${place}: expected dtype, shape and data_offsets`);
  const { dtype, shape, data_offsets } = parsed.data;
  if (!Object.hasOwn(typesByCode, dtype)) throw new OnnxError(`${place}: unknown element type "${dtype}"`);
  const type = typesByCode[dtype as keyof typeof typesByCode];
  const [offset, end] = data_offsets;
  const sizeBytes = storageBytes(type, elementCount(shape, place));
  if (end - offset !== sizeBytes) {
    throw new OnnxError(`${place}: ${dtype}[${shape.join(', ')}] takes ${sizeBytes} bytes, it has ${end - offset}`);
  }
  return { name, type, dims: shape, offset, sizeBytes };
}

function parseJson(json: Uint8Array, where: string): Record<string, unknown> {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(json)) as Record<string, unknown>;
  } catch {
    throw new OnnxError(`${where}: its header is not JSON`);
  }
}
