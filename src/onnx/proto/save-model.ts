import { createHash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { OnnxError } from '../error.ts';
import type { Model, StoredBytes, Tensor } from '../model.ts';
import { tensorBytes, tensorSize } from '../tensor.ts';
import { type Durability, writeAt, writeWhole } from '../whole-file.ts';
import { checkedSize, maxFileBytes, modelPieces } from './encode.ts';
import type { ExternalLocation } from './external-location.ts';

export interface SaveOptions {
  /** Whether weights go to a data file beside the model. `whenNeeded`: only when protobuf's 2 GiB are not enough. */
  readonly externalData?: 'whenNeeded' | 'always' | 'never';
  readonly durability?: Durability;
}

export interface SavedModel {
  /** Model and data file together. */
  readonly sizeBytes: number;
  /** Name of the data file, in the model's folder; undefined when the weights are in the model. */
  readonly dataFile: string | undefined;
}

/** Smaller tensors stay in the model: onnx's own threshold; shape inference wants to see shapes and axes. */
const minExternalBytes = 1_024;
/** Larger weights begin on a page, so that an engine can map them. */
const pageBytes = 4_096;

/**
 * Writes a model to `path`, weight by weight: memory holds one weight at a time, whatever the model's size. Both files
 * appear under their names whole or not at all, the data file first; its name carries the hash of its content, so a model
 * that is being replaced keeps the weights it points to (they stay behind as `<name>.<hash>.data`; the caller knows whether
 * anybody still reads them). Throws `OnnxError` when the model is not sound or `never` does not fit.
 */
export async function saveModel(model: Model, path: string, options: SaveOptions = {}): Promise<SavedModel> {
  const { externalData = 'whenNeeded', durability = 'full' } = options;
  const folder = dirname(path);
  let pieces = modelPieces(model);
  const fits = pieces.reduce((sum, piece) => sum + piece.sizeBytes, 0) <= maxFileBytes;
  let data: { name: string; sizeBytes: number } | undefined;
  if (externalData === 'always' || (externalData === 'whenNeeded' && !fits)) {
    const weights = model.graph.initializers.filter(isLarge);
    const offsets = layOut(weights);
    const name = await writeWhole(folder, durability, async (file) => {
      const hash = createHash('sha256');
      for (const [tensor, offset] of offsets) {
        const bytes = tensorBytes(tensor);
        hash.update(bytes);
        await writeAt(file, bytes, offset);
      }
      return `${basename(path)}.${hash.digest('hex').slice(0, 16)}.data`;
    });
    const external = new Map<Tensor, ExternalLocation>();
    let sizeBytes = 0;
    for (const [tensor, offset] of offsets) {
      external.set(tensor, { path: name, offset, sizeBytes: tensorSize(tensor) });
      sizeBytes = offset + tensorSize(tensor);
    }
    data = { name, sizeBytes };
    pieces = modelPieces(model, external);
  }
  const sizeBytes = checkedSize(pieces);
  await writeWhole(folder, durability, async (file) => {
    await writePieces(file, pieces);
    return basename(path);
  });
  return { sizeBytes: sizeBytes + (data?.sizeBytes ?? 0), dataFile: data?.name };
}

const isLarge = (tensor: Tensor): boolean => tensor.type !== 'string' && tensorSize(tensor) >= minExternalBytes;

function layOut(weights: readonly Tensor[]): Map<Tensor, number> {
  const offsets = new Map<Tensor, number>();
  let end = 0;
  for (const tensor of weights) {
    const alignment = tensorSize(tensor) >= pageBytes ? pageBytes : 64;
    const offset = Math.ceil(end / alignment) * alignment;
    offsets.set(tensor, offset);
    end = offset + tensorSize(tensor);
  }
  return offsets;
}

async function writePieces(file: FileHandle, pieces: readonly StoredBytes[]): Promise<void> {
  let position = 0;
  for (const piece of pieces) {
    const bytes = piece.read();
    if (bytes.byteLength !== piece.sizeBytes) {
      throw new OnnxError(`model: expected a weight of ${piece.sizeBytes} bytes, got ${bytes.byteLength}`);
    }
    await writeAt(file, bytes, position);
    position += piece.sizeBytes;
  }
}
