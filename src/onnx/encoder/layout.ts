import type { EncoderFamily } from './config.ts';

/** Names of one layer's parameters, each with `.weight` and `.bias`. */
export interface LayerNames {
  readonly query: string;
  readonly key: string;
  readonly value: string;
  readonly attentionOutput: string;
  readonly attentionNorm: string;
  readonly intermediate: string;
  readonly output: string;
  readonly outputNorm: string;
}

/** Where a family keeps its parameters, as `transformers` names them; the model's own prefix (`bert.`) left out. */
export interface Layout {
  readonly prefix: string;
  readonly words: string;
  readonly positions: string;
  readonly tokenTypes: string;
  readonly embeddingNorm: string;
  readonly layer: (index: number) => LayerNames;
  /** The classification head: a dense layer on the first token, its activation, the last layer. With prefix. */
  readonly head: { readonly dense: string; readonly activation: 'tanh' | 'relu'; readonly classifier: string };
}

const bert: Omit<Layout, 'prefix' | 'head'> = {
  words: 'embeddings.word_embeddings.weight',
  positions: 'embeddings.position_embeddings.weight',
  tokenTypes: 'embeddings.token_type_embeddings.weight',
  embeddingNorm: 'embeddings.LayerNorm',
  layer: (index) => {
    const at = `encoder.layer.${index}`;
    return {
      query: `${at}.attention.self.query`,
      key: `${at}.attention.self.key`,
      value: `${at}.attention.self.value`,
      attentionOutput: `${at}.attention.output.dense`,
      attentionNorm: `${at}.attention.output.LayerNorm`,
      intermediate: `${at}.intermediate.dense`,
      output: `${at}.output.dense`,
      outputNorm: `${at}.output.LayerNorm`,
    };
  },
};

export const layouts: Readonly<Record<EncoderFamily, Layout>> = {
  bert: {
    ...bert,
    prefix: 'bert.',
    head: { dense: 'bert.pooler.dense', activation: 'tanh', classifier: 'classifier' },
  },
  roberta: {
    ...bert,
    prefix: 'roberta.',
    head: { dense: 'classifier.dense', activation: 'tanh', classifier: 'classifier.out_proj' },
  },
  distilbert: {
    ...bert,
    prefix: 'distilbert.',
    layer: (index) => {
      const at = `transformer.layer.${index}`;
      return {
        query: `${at}.attention.q_lin`,
        key: `${at}.attention.k_lin`,
        value: `${at}.attention.v_lin`,
        attentionOutput: `${at}.attention.out_lin`,
        attentionNorm: `${at}.sa_layer_norm`,
        intermediate: `${at}.ffn.lin1`,
        output: `${at}.ffn.lin2`,
        outputNorm: `${at}.output_layer_norm`,
      };
    },
    head: { dense: 'pre_classifier', activation: 'relu', classifier: 'classifier' },
  },
};
