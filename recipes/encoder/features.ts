import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { buildEncoder } from '../../src/onnx/encoder/build.ts';
import { embed } from '../../src/onnx/encoder/embed.ts';
import type { Encoder } from '../../src/onnx/encoder/folder.ts';
import { floatsOf } from '../../src/onnx/floats.ts';
import { openSafetensors } from '../../src/onnx/safetensors/read.ts';
import { writeSafetensors } from '../../src/onnx/safetensors/write.ts';
import { tensorOf } from '../../src/onnx/tensor.ts';
import { openSession } from '../../src/onnx/train/session.ts';
import { log } from '../text-classifier/log.ts';

export const featuresFile = 'features.safetensors';

export interface FeatureRequest {
  readonly encoder: Encoder;
  readonly ids: readonly number[][];
  /** Of the base and everything else that decides about a row's features besides its tokens. */
  readonly baseDigest: string;
  /** Where the features are kept for the next start. */
  readonly folder: string;
  readonly threads: number;
}

/** What the frozen encoder says about each row, float32[rows, hidden]: computed once, kept beside the checkpoints. */
export async function rowFeatures({
  encoder,
  ids,
  baseDigest,
  folder,
  threads,
}: FeatureRequest): Promise<Float32Array> {
  const width = encoder.config.hiddenSize;
  const key = createHash('sha256')
    .update(JSON.stringify([baseDigest, ids]))
    .digest('hex');
  const path = join(folder, featuresFile);
  const kept = readFeatures(path, key);
  if (kept !== undefined) return kept;
  const task = { kind: 'embedding', pooling: encoder.pooling.pooling, normalize: false } as const;
  const session = await openSession(buildEncoder(encoder, task), { threads });
  const features = new Float32Array(ids.length * width);
  try {
    const tokenizer = { ...encoder.tokenizer, encode: (row: string) => ids[Number(row)]! };
    const rows = await embed(
      session,
      tokenizer,
      ids.map((_, row) => String(row)),
    );
    for (const [row, values] of rows.entries()) features.set(values, row * width);
  } finally {
    await session.release();
  }
  await mkdir(folder, { recursive: true });
  const tensor = tensorOf('features', 'float32', [ids.length, width], features);
  await writeSafetensors(path, [tensor], { metadata: { key, digest: digestOf(features) } });
  return features;
}

/** Undefined when there is none, when it is of other rows, or damaged: it can always be made again. */
function readFeatures(path: string, key: string): Float32Array | undefined {
  let file: ReturnType<typeof openSafetensors>;
  try {
    file = openSafetensors(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') log('featuresIgnored', { reason: String(error) });
    return undefined;
  }
  try {
    const tensor = file.tensors.get('features');
    if (tensor === undefined || file.metadata.get('key') !== key) return undefined;
    const features = Float32Array.from(floatsOf(tensor));
    if (digestOf(features) === file.metadata.get('digest')) return features;
    log('featuresIgnored', { reason: 'their bytes do not match their digest' });
    return undefined;
  } finally {
    file.close();
  }
}

const digestOf = ({ buffer, byteOffset, byteLength }: Float32Array): string =>
  createHash('sha256')
    .update(new Uint8Array(buffer, byteOffset, byteLength))
    .digest('hex');
