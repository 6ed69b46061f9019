import { z } from 'zod';

/**
 * Ideographs beyond the basic plane, by the ranges of the reference (`is_chinese_char` in the Rust crate tokenizers 0.23,
 * bert.rs; its 2B920 is not BERT's 2B820, and models meet the crate).
 */
const rareIdeographs =
  /[\u{20000}-\u{2A6DF}\u{2A700}-\u{2B73F}\u{2B740}-\u{2B81F}\u{2B920}-\u{2CEAF}\u{2F800}-\u{2FA1F}]/gu;

const normalizer = z.object({
  type: z.string().optional(),
  lowercase: z.boolean().optional(),
  handle_chinese_chars: z.boolean().optional(),
  normalizers: z.array(z.unknown()).optional(),
});

/**
 * What has to be done to a text so that `@huggingface/tokenizers` 0.2.0 gives the ids of the Rust crate; found by comparing
 * the two on random text (test/oracles/onnx-encoder.test.ts). It looks for ideographs by UTF-16 unit and so misses those of
 * two, and lower-cases whole texts, where JavaScript writes Σ at the end of a word as ς; the crate goes by character.
 */
export function preparationFor(tokenizerJson: object): TextPreparation {
  const steps = stepsOf('normalizer' in tokenizerJson ? tokenizerJson.normalizer : null);
  const separates = steps.some(({ type, handle_chinese_chars }) => type === 'BertNormalizer' && handle_chinese_chars);
  const lowers = steps.some(({ type, lowercase }) => type === 'Lowercase' || (type === 'BertNormalizer' && lowercase));
  return {
    prepare(text) {
      const separated = separates ? text.replace(rareIdeographs, ' $& ') : text;
      return lowers ? separated.replaceAll('Σ', 'σ') : separated;
    },
    wordEnd: separates ? /(?<=\S)\s|(?<=[\u4e00-\u9fff])/ : /(?<=\S)\s/,
  };
}

export interface TextPreparation {
  readonly prepare: (text: string) => string;
  /** Where a text can be cut so that what follows changes no token of what came before. */
  readonly wordEnd: RegExp;
}

function stepsOf(value: unknown): z.infer<typeof normalizer>[] {
  const parsed = normalizer.safeParse(value);
  if (!parsed.success) return [];
  return [parsed.data, ...(parsed.data.normalizers ?? []).flatMap(stepsOf)];
}
