import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { InvalidInput } from '../store/errors.ts';

/** Files of a model repository that a base consists of. Pickles (`pytorch_model.bin`) are left out: loading them runs code. */
const partNames = new Set([
  'config.json',
  'model.safetensors',
  'model.safetensors.index.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'vocab.txt',
  'vocab.json',
  'merges.txt',
  'modules.json',
  'sentence_bert_config.json',
  'config_sentence_transformers.json',
  '1_Pooling/config.json',
  'README.md',
  'LICENSE',
  'LICENSE.md',
  'LICENSE.txt',
  'NOTICE',
]);
const shard = /^model-\d{5}-of-\d{5}\.safetensors$/;

export const isPart = (path: string): boolean => partNames.has(path) || shard.test(path);

/** Throws `InvalidInput` unless a base can be made of these files; `all` is what the repository has. */
export function checkParts(parts: readonly string[], all: readonly string[], source: string): void {
  if (!parts.includes('config.json')) throw new InvalidInput(`base ${source}: it has no config.json`);
  if (parts.some((path) => path.endsWith('.safetensors'))) return;
  const pickles = all.filter((path) => /\.(bin|pt|pth|ckpt)$/.test(path));
  const found =
    pickles.length > 0 ? `only pickled ones (${pickles.slice(0, 3).join(', ')}), which run code when loaded` : 'none';
  throw new InvalidInput(`base ${source}: expected safetensors weights, found ${found}`);
}

const configSchema = z.object({ model_type: z.string() });

/** `model_type` of `config.json`. Throws `InvalidInput`. */
export function modelTypeOf(config: Uint8Array, source: string): string {
  try {
    return configSchema.parse(JSON.parse(new TextDecoder().decode(config))).model_type;
  } catch {
    throw new InvalidInput(`base ${source}: config.json: expected an object with a model_type`);
  }
}

const cardSchema = z.object({
  license: z.union([z.string(), z.array(z.string())]).optional(),
  license_name: z.string().optional(),
});

/**
 * The licence by the model card's front matter (https://huggingface.co/docs/hub/model-cards): `license`, or `license_name`
 * where that is "other". Undefined when the card does not say or is not YAML.
 */
export function licenseOf(card: Uint8Array): string | undefined {
  const [, frontMatter] = /^\uFEFF?---\r?\n([\s\S]{0,65536}?)\r?\n---/.exec(new TextDecoder().decode(card)) ?? [];
  if (frontMatter === undefined) return undefined;
  let fields: unknown;
  try {
    fields = parseYaml(frontMatter, { maxAliasCount: 10 });
  } catch {
    return undefined;
  }
  const { license, license_name } = cardSchema.safeParse(fields).data ?? {};
  const text = Array.isArray(license) ? license.join(', ') : license;
  return (text === 'other' ? (license_name ?? text) : text) || undefined;
}
