import { z } from 'zod';
import { OnnxError } from '../error.ts';

/** Which names and which order of operations a checkpoint follows. MiniLM, BGE, E5 and GTE (v1) are `bert`. */
export type EncoderFamily = 'bert' | 'roberta' | 'distilbert';

/** The shape of an encoder, whatever its family calls its fields. */
export interface EncoderConfig {
  readonly family: EncoderFamily;
  readonly vocabularySize: number;
  readonly hiddenSize: number;
  readonly layers: number;
  readonly heads: number;
  readonly intermediateSize: number;
  /** Rows of the position table; `maxTokens` of them can be used. */
  readonly positions: number;
  /** Longest token sequence: RoBERTa counts positions from the padding id + 1. */
  readonly maxTokens: number;
  /** Rows of the token type table; 0: the family has none. */
  readonly tokenTypes: number;
  readonly activation: 'gelu' | 'gelu-tanh' | 'relu';
  readonly layerNormEpsilon: number;
  readonly padTokenId: number;
  /** Class names by index when the checkpoint has a classification head, else empty. */
  readonly labels: readonly string[];
}

const families: Readonly<Record<string, EncoderFamily>> = {
  bert: 'bert',
  roberta: 'roberta',
  'xlm-roberta': 'roberta',
  camembert: 'roberta',
  distilbert: 'distilbert',
};

/** As `transformers` names them: "gelu" is the exact one by erf. */
const activations: Readonly<Record<string, EncoderConfig['activation']>> = {
  gelu: 'gelu',
  gelu_new: 'gelu-tanh',
  gelu_pytorch_tanh: 'gelu-tanh',
  relu: 'relu',
};

const count = z
  .number()
  .int()
  .positive()
  .max(2 ** 31 - 1);
const common = z.object({
  vocab_size: count,
  max_position_embeddings: count,
  pad_token_id: z.number().int().min(0).nullish(),
  architectures: z.array(z.string()).nullish(),
  id2label: z.record(z.string(), z.string()).nullish(),
  num_labels: z.number().int().positive().nullish(),
  // Variants that compute something else.
  position_embedding_type: z.literal('absolute').nullish(),
  is_decoder: z.literal(false).nullish(),
  add_cross_attention: z.literal(false).nullish(),
  sinusoidal_pos_embds: z.boolean().nullish(), // the checkpoint has the table either way
});
const bertLike = common.extend({
  hidden_size: count,
  num_hidden_layers: count.max(1000),
  num_attention_heads: count,
  intermediate_size: count,
  type_vocab_size: count.default(2),
  hidden_act: z.string().default('gelu'),
  layer_norm_eps: z.number().positive().default(1e-12),
});
const distil = common.extend({
  dim: count,
  n_layers: count.max(1000),
  n_heads: count,
  hidden_dim: count,
  activation: z.string().default('gelu'),
});

/** Reads a Hugging Face `config.json`. Throws `OnnxError` that names the field for anything that we would compute wrongly. */
export function parseEncoderConfig(json: unknown, where = 'config.json'): EncoderConfig {
  const type = check(z.object({ model_type: z.string() }), json, where).model_type;
  const family = Object.hasOwn(families, type) ? families[type] : undefined;
  if (family === undefined) {
    const known = Object.keys(families).join(', ');
    throw new OnnxError(`${where}: model_type "${type}" is not supported, expected one of ${known}`);
  }
  if (family === 'distilbert') {
    const config = check(distil, json, where);
    return finish(where, config, {
      family,
      hiddenSize: config.dim,
      layers: config.n_layers,
      heads: config.n_heads,
      intermediateSize: config.hidden_dim,
      tokenTypes: 0,
      layerNormEpsilon: 1e-12,
      activation: activationOf(config.activation, 'activation', where),
    });
  }
  const config = check(bertLike, json, where);
  return finish(where, config, {
    family,
    hiddenSize: config.hidden_size,
    layers: config.num_hidden_layers,
    heads: config.num_attention_heads,
    intermediateSize: config.intermediate_size,
    tokenTypes: config.type_vocab_size,
    layerNormEpsilon: config.layer_norm_eps,
    activation: activationOf(config.hidden_act, 'hidden_act', where),
  });
}

type Own = Omit<EncoderConfig, 'vocabularySize' | 'positions' | 'maxTokens' | 'padTokenId' | 'labels'>;

function finish(where: string, config: z.infer<typeof common>, own: Own): EncoderConfig {
  if (own.hiddenSize % own.heads !== 0) {
    throw new OnnxError(`${where}: ${own.heads} heads do not divide a hidden size of ${own.hiddenSize}`);
  }
  const padTokenId = config.pad_token_id ?? (own.family === 'roberta' ? 1 : 0);
  const positions = config.max_position_embeddings;
  const maxTokens = own.family === 'roberta' ? positions - padTokenId - 1 : positions;
  if (maxTokens < 2) throw new OnnxError(`${where}: max_position_embeddings of ${positions} leaves no room for tokens`);
  return {
    ...own,
    vocabularySize: config.vocab_size,
    positions,
    maxTokens,
    padTokenId,
    labels: labelsOf(config, where),
  };
}

function labelsOf({ architectures, id2label, num_labels }: z.infer<typeof common>, where: string): string[] {
  if (!architectures?.some((name) => name.endsWith('ForSequenceClassification'))) return [];
  // `transformers` leaves id2label out for the default of two labels.
  const labels = id2label ?? Object.fromEntries(Array.from({ length: num_labels ?? 2 }, (_, i) => [i, `LABEL_${i}`]));
  return Object.keys(labels).map((_, i) => {
    const label = labels[String(i)];
    if (label === undefined) throw new OnnxError(`${where}: id2label has no label ${i}`);
    return label;
  });
}

function activationOf(name: string, field: string, where: string): EncoderConfig['activation'] {
  const activation = Object.hasOwn(activations, name) ? activations[name] : undefined;
  if (activation !== undefined) return activation;
  throw new OnnxError(`${where}: ${field} "${name}" is not supported, expected ${Object.keys(activations).join(', ')}`);
}

function check<S extends z.ZodType>(schema: S, json: unknown, where: string): z.output<S> {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issues = result.error.issues.map((issue) => `${issue.path.join('.') || '(whole)'}: ${issue.message}`);
  throw new OnnxError(`${where}: ${issues.slice(0, 5).join('; ')}`);
}
