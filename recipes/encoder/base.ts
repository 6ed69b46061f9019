import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Encoder, openEncoder } from '../../src/onnx/encoder/folder.ts';
import { OnnxError } from '../../src/onnx/error.ts';
import { fileDigest } from '../../src/store/file-digest.ts';
import { TrainingFailure } from '../text-classifier/failure.ts';

export interface Base {
  readonly encoder: Encoder;
  /** Over all files that decide what it computes. */
  readonly digest: string;
}

/** Files of a hub folder that decide about token ids and weights. */
export const tokenizerFiles = ['tokenizer.json', 'tokenizer_config.json', 'config.json', 'sentence_bert_config.json'];

/**
 * Opens the encoder on the `base` channel, laid out as the hub keeps it. @throws TrainingFailure `userError` when there is
 * none, or when it is of a family that cannot be built.
 */
export async function openBase(folder: string | undefined): Promise<Base> {
  if (folder === undefined)
    throw new TrainingFailure(
      'userError',
      'base: expected an encoder (config.json, model.safetensors, tokenizer.json)',
    );
  try {
    const encoder = openEncoder(folder);
    const hash = createHash('sha256');
    for (const name of ['model.safetensors', ...tokenizerFiles])
      if (existsSync(join(folder, name))) hash.update(`${name} ${await fileDigest(join(folder, name))}\n`);
    return { encoder, digest: `sha256:${hash.digest('hex')}` };
  } catch (error) {
    if (error instanceof OnnxError) throw new TrainingFailure('userError', `base: ${error.message}`, { cause: error });
    throw error;
  }
}
