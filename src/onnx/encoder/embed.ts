import * as ort from 'onnxruntime-node';
import { encoderInputs, encoderOutputs } from './build.ts';
import type { TextTokenizer } from './tokenizer.ts';

/** What `embed` needs of an `InferenceSession`. */
export interface EmbeddingSession {
  run(
    feeds: Record<string, ort.Tensor>,
  ): Promise<Record<string, { readonly data: unknown; readonly dims: readonly number[] }>>;
}

export interface EmbedOptions {
  /** Tokens of one batch, padding included: what a batch costs in time and memory. */
  readonly maxBatchTokens?: number;
}

/**
 * The embedding of each text, float32[hidden], in the order of the texts. Texts of similar length share a batch, because
 * padding is computed like tokens. Throws what the session throws.
 */
export async function embed(
  session: EmbeddingSession,
  tokenizer: TextTokenizer,
  texts: readonly string[],
  { maxBatchTokens = 4_096 }: EmbedOptions = {},
): Promise<Float32Array[]> {
  const encoded = texts.map((text, row) => ({ row, ids: tokenizer.encode(text) }));
  encoded.sort((a, b) => a.ids.length - b.ids.length || a.row - b.row);
  const embeddings: Float32Array[] = new Array(texts.length);
  for (let start = 0; start < encoded.length; ) {
    let end = start + 1;
    while (end < encoded.length && (end + 1 - start) * encoded[end]!.ids.length <= maxBatchTokens) end++;
    const batch = encoded.slice(start, end);
    const outputs = await session.run(
      feedsOf(
        batch.map(({ ids }) => ids),
        tokenizer.padTokenId,
      ),
    );
    const { data, dims } = outputs[encoderOutputs.embedding]!;
    const width = dims[1]!;
    for (const [i, { row }] of batch.entries()) {
      embeddings[row] = (data as Float32Array).slice(i * width, (i + 1) * width);
    }
    start = end;
  }
  return embeddings;
}

/** `input_ids` and `attention_mask` of a batch, padded at the end to its longest row. */
export function feedsOf(batch: readonly (readonly number[])[], padTokenId: number): Record<string, ort.Tensor> {
  const length = Math.max(...batch.map((ids) => ids.length));
  const ids = new BigInt64Array(batch.length * length).fill(BigInt(padTokenId));
  const mask = new BigInt64Array(batch.length * length);
  for (const [row, tokens] of batch.entries()) {
    for (const [i, id] of tokens.entries()) {
      ids[row * length + i] = BigInt(id);
      mask[row * length + i] = 1n;
    }
  }
  const dims = [batch.length, length];
  return {
    [encoderInputs.ids]: new ort.Tensor('int64', ids, dims),
    [encoderInputs.mask]: new ort.Tensor('int64', mask, dims),
  };
}
