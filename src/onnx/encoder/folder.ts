import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { OnnxError } from '../error.ts';
import { openSafetensors, type SafeTensors } from '../safetensors/read.ts';
import { indexFileName, openShardedSafetensors } from '../safetensors/sharded.ts';
import type { EncoderSource, Pooling } from './build.ts';
import { parseEncoderConfig } from './config.ts';
import { type TextTokenizer, textTokenizer } from './tokenizer.ts';

export interface Encoder extends EncoderSource {
  readonly tokenizer: TextTokenizer;
  /** As the folder's `modules.json` (sentence-transformers) says; mean without normalisation where there is none. */
  readonly pooling: Pooling;
  /** Weights cannot be read afterwards. */
  close(): void;
}

/** The largest tokenizers in use (XLM-RoBERTa's, 250,000 pieces) take 17 MB. */
const maxJsonBytes = 64 * 2 ** 20;

const modulesSchema = z.array(z.object({ type: z.string(), path: z.string() }));
const poolingSchema = z.object({
  pooling_mode_cls_token: z.boolean().default(false),
  pooling_mode_mean_tokens: z.boolean().default(false),
  pooling_mode_max_tokens: z.boolean().default(false),
  pooling_mode_mean_sqrt_len_tokens: z.boolean().default(false),
  pooling_mode_weightedmean_tokens: z.boolean().default(false),
  pooling_mode_lasttoken: z.boolean().default(false),
});
const lengthSchema = z.object({ max_seq_length: z.number().int().positive().nullish() });
const tokenizerConfigSchema = z.looseObject({ model_max_length: z.number().positive().nullish() });

/**
 * Opens an encoder as the Hugging Face hub and sentence-transformers keep it: `config.json`, `model.safetensors` (or its
 * shards),
 * `tokenizer.json`, and where there, `tokenizer_config.json`, `modules.json`, `sentence_bert_config.json`,
 * `1_Pooling/config.json`. Throws `OnnxError` that names the file for what is missing or would be computed wrongly.
 * Pickled weights (`pytorch_model.bin`) are never read: loading them runs code.
 */
export function openEncoder(folder: string): Encoder {
  const config = parseEncoderConfig(readJson(folder, 'config.json'), join(folder, 'config.json'));
  const tokenizerConfig = parse(folder, 'tokenizer_config.json', tokenizerConfigSchema) ?? {};
  const lengths = parse(folder, 'sentence_bert_config.json', lengthSchema);
  // `model_max_length` is 10^30 where its author did not know it.
  const maxTokens = Math.min(
    config.maxTokens,
    lengths?.max_seq_length ?? config.maxTokens,
    tokenizerConfig.model_max_length ?? config.maxTokens,
  );
  const { padTokenId } = config;
  const tokenizer = textTokenizer(readJson(folder, 'tokenizer.json'), tokenizerConfig, { maxTokens, padTokenId });
  const pooling = poolingOf(folder);
  const { tensors, close } = openWeights(folder);
  return { config, weights: tensors, tokenizer, pooling, close };
}

/** One file, or the shards that an index names. */
function openWeights(folder: string): SafeTensors {
  const index = join(folder, indexFileName);
  const isSharded = !existsSync(join(folder, 'model.safetensors')) && existsSync(index);
  return isSharded ? openShardedSafetensors(index) : openSafetensors(required(folder, 'model.safetensors'));
}

function poolingOf(folder: string): Pooling {
  const modules = parse(folder, 'modules.json', modulesSchema);
  if (modules === undefined) return { pooling: 'mean', normalize: false };
  const kinds = modules.map(({ type }) => type.split('.').at(-1));
  const unknown = kinds.find((kind) => kind !== 'Transformer' && kind !== 'Pooling' && kind !== 'Normalize');
  if (unknown !== undefined || kinds[0] !== 'Transformer' || kinds[1] !== 'Pooling') {
    throw new OnnxError(
      `${join(folder, 'modules.json')}: expected Transformer, Pooling, Normalize, found ${kinds.join(', ')}`,
    );
  }
  const file = join('1_Pooling', 'config.json');
  const modes = parse(folder, file, poolingSchema);
  const chosen = Object.entries(modes ?? {}).flatMap(([mode, isOn]) => (isOn ? [mode] : []));
  const normalize = kinds.includes('Normalize');
  if (chosen.join() === 'pooling_mode_mean_tokens') return { pooling: 'mean', normalize };
  if (chosen.join() === 'pooling_mode_cls_token') return { pooling: 'cls', normalize };
  throw new OnnxError(`${join(folder, file)}: expected mean or cls pooling, found ${chosen.join(', ') || 'none'}`);
}

function parse<S extends z.ZodType>(folder: string, name: string, schema: S): z.output<S> | undefined {
  if (!existsSync(join(folder, name))) return undefined;
  const result = schema.safeParse(readJson(folder, name));
  if (result.success) return result.data;
  throw new OnnxError(`${join(folder, name)}: ${z.prettifyError(result.error)}`);
}

function readJson(folder: string, name: string): object {
  const path = required(folder, name);
  const { size } = statSync(path);
  if (size > maxJsonBytes) throw new OnnxError(`${path}: ${size} bytes, expected at most ${maxJsonBytes}`);
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    throw new OnnxError(`${path}: it is not JSON`);
  }
  if (typeof json !== 'object' || json === null) throw new OnnxError(`${path}: expected an object`);
  return json;
}

function required(folder: string, name: string): string {
  const path = join(folder, name);
  if (!existsSync(path)) throw new OnnxError(`${folder}: it has no ${name}; expected an encoder as the hub keeps it`);
  return path;
}
