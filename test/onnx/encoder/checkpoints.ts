import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Tensor } from '../../../src/onnx/model.ts';
import { writeSafetensors } from '../../../src/onnx/safetensors/write.ts';
import { tensorOf } from '../../../src/onnx/tensor.ts';
import { randomFloats, seededRandom } from '../run.ts';
import { bytePairTokenizer, wordPieceTokenizer } from './tokenizers.ts';

export type Family = 'bert' | 'roberta' | 'distilbert';

export interface CheckpointOptions {
  readonly hidden?: number;
  readonly layers?: number;
  readonly heads?: number;
  readonly positions?: number;
  readonly labels?: number;
  readonly activation?: string;
  readonly seed?: number;
  /** Changes the tensors before they are written. */
  readonly change?: (tensors: Tensor[]) => Tensor[];
}

/**
 * A small checkpoint with random weights, as large as trained ones are (LayerNorm scales near 1, matrices of 1/√n), in the
 * folder layout and with the names of the hub. Written from transformers' module definitions, not from our layouts.
 */
export async function writeCheckpoint(folder: string, family: Family, options: CheckpointOptions = {}): Promise<void> {
  const { hidden = 32, layers = 2, heads = 4, positions = 40, labels = 0, activation = 'gelu', seed = 1 } = options;
  const inner = hidden * 2;
  const tokenizer = family === 'roberta' ? bytePairTokenizer() : wordPieceTokenizer();
  const vocabulary = tokenizer.size;
  const architectures = labels > 0 ? ['XForSequenceClassification'] : ['XModel'];
  const id2label = Object.fromEntries(Array.from({ length: labels }, (_, i) => [i, `class ${i}`]));
  const shared = {
    model_type: family,
    vocab_size: vocabulary,
    max_position_embeddings: positions,
    pad_token_id: family === 'roberta' ? 1 : 0,
    architectures,
    ...(labels > 0 ? { id2label } : {}),
  };
  const config =
    family === 'distilbert'
      ? { ...shared, dim: hidden, n_layers: layers, n_heads: heads, hidden_dim: inner, activation }
      : {
          ...shared,
          hidden_size: hidden,
          num_hidden_layers: layers,
          num_attention_heads: heads,
          intermediate_size: inner,
          hidden_act: activation,
          type_vocab_size: family === 'roberta' ? 1 : 2,
          layer_norm_eps: family === 'roberta' ? 1e-5 : 1e-12,
        };

  const random = seededRandom(seed);
  const tensors: Tensor[] = [];
  const add = (name: string, dims: number[], make: () => Float32Array): void => {
    tensors.push(tensorOf(name, 'float32', dims, make()));
  };
  const table = (name: string, rows: number): void =>
    add(`${name}.weight`, [rows, hidden], () => randomFloats(rows * hidden, random, 0.3));
  const linear = (name: string, outputs: number, inputs: number): void => {
    add(`${name}.weight`, [outputs, inputs], () => randomFloats(outputs * inputs, random, 2 / Math.sqrt(inputs)));
    add(`${name}.bias`, [outputs], () => randomFloats(outputs, random, 0.2));
  };
  const norm = (name: string): void => {
    add(`${name}.weight`, [hidden], () => randomFloats(hidden, random, 0.3).map((value) => 1 + value));
    add(`${name}.bias`, [hidden], () => randomFloats(hidden, random, 0.2));
  };

  const model = labels > 0 ? `${family}.` : '';
  table(`${model}embeddings.word_embeddings`, vocabulary);
  table(`${model}embeddings.position_embeddings`, positions);
  if (family !== 'distilbert') table(`${model}embeddings.token_type_embeddings`, family === 'roberta' ? 1 : 2);
  norm(`${model}embeddings.LayerNorm`);
  for (let i = 0; i < layers; i++) {
    if (family === 'distilbert') {
      const at = `${model}transformer.layer.${i}`;
      for (const name of ['q_lin', 'k_lin', 'v_lin', 'out_lin']) linear(`${at}.attention.${name}`, hidden, hidden);
      norm(`${at}.sa_layer_norm`);
      linear(`${at}.ffn.lin1`, inner, hidden);
      linear(`${at}.ffn.lin2`, hidden, inner);
      norm(`${at}.output_layer_norm`);
    } else {
      const at = `${model}encoder.layer.${i}`;
      for (const name of ['query', 'key', 'value']) linear(`${at}.attention.self.${name}`, hidden, hidden);
      linear(`${at}.attention.output.dense`, hidden, hidden);
      norm(`${at}.attention.output.LayerNorm`);
      linear(`${at}.intermediate.dense`, inner, hidden);
      linear(`${at}.output.dense`, hidden, inner);
      norm(`${at}.output.LayerNorm`);
    }
  }
  if (labels > 0 && family === 'bert') linear('bert.pooler.dense', hidden, hidden);
  if (labels > 0 && family === 'roberta') {
    linear('classifier.dense', hidden, hidden);
    linear('classifier.out_proj', labels, hidden);
  } else if (labels > 0) {
    if (family === 'distilbert') linear('pre_classifier', hidden, hidden);
    linear('classifier', labels, hidden);
  }

  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer.json));
  await writeSafetensors(join(folder, 'model.safetensors'), options.change?.(tensors) ?? tensors, {
    durability: 'fast',
  });
}
