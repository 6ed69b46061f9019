import { GraphBuilder, type Value } from '../build/graph-builder.ts';
import { OnnxError } from '../error.ts';
import type { Model, Tensor } from '../model.ts';
import { Blocks } from './block.ts';
import type { EncoderConfig } from './config.ts';
import { embedTokens } from './embeddings.ts';
import { layouts } from './layout.ts';
import { EncoderWeights } from './weights.ts';

export const encoderInputs = { ids: 'input_ids', mask: 'attention_mask', tokenTypes: 'token_type_ids' } as const;
export const encoderOutputs = {
  tokens: 'last_hidden_state',
  embedding: 'sentence_embedding',
  logits: 'logits',
  probabilities: 'probabilities',
} as const;

export interface Pooling {
  /** Mean over the tokens that are no padding, or the first token. */
  readonly pooling: 'mean' | 'cls';
  /** To length 1, so that a dot product is the cosine. */
  readonly normalize: boolean;
}

/** What the model computes; each under the name in `encoderOutputs`. */
export type EncoderTask =
  /** float32[batch, sequence, hidden]. */
  | { readonly kind: 'tokens' }
  /** float32[batch, hidden]. */
  | ({ readonly kind: 'embedding' } & Pooling)
  /** float32[batch, classes] by the classification head of the checkpoint. */
  | { readonly kind: 'classes'; readonly output: 'logits' | 'probabilities' };

export interface EncoderSource {
  readonly config: EncoderConfig;
  /** The checkpoint's tensors by name. */
  readonly weights: ReadonlyMap<string, Tensor>;
}

export interface BuildOptions {
  /** Adds the input `token_type_ids` (for pairs of texts); otherwise every token is of type 0. */
  readonly tokenTypes?: boolean;
}

/**
 * Builds a BERT-family encoder as an ONNX model: `input_ids` and `attention_mask` int64[batch, sequence], both dynamic.
 * Weights stay where they are (`stored`) until the model is encoded or saved. Throws `OnnxError` when the checkpoint does
 * not fit the configuration.
 */
export function buildEncoder(source: EncoderSource, task: EncoderTask, options: BuildOptions = {}): Model {
  const { config } = source;
  const g = new GraphBuilder(config.family);
  const { hidden, mask } = encoderBody(g, source, options);
  const width = config.hiddenSize;
  switch (task.kind) {
    case 'tokens':
      g.output(encoderOutputs.tokens, hidden, ['batch', 'sequence', width]);
      break;
    case 'embedding':
      g.output(encoderOutputs.embedding, pool(g, hidden, mask, task), ['batch', width]);
      break;
    case 'classes': {
      const logits = checkpointHead(g, source, firstToken(g, hidden));
      const value = task.output === 'logits' ? logits : g.softmax(logits);
      g.output(encoderOutputs[task.output], value, ['batch', config.labels.length]);
      break;
    }
  }
  return g.toModel();
}

export interface EncoderBody {
  /** After each block, float32[batch, sequence, hidden]; the input of block i is that of block i - 1. */
  readonly blocks: readonly Value<'float32'>[];
  /** After the embeddings: the input of block 0. */
  readonly embedded: Value<'float32'>;
  /** After the last block. */
  readonly hidden: Value<'float32'>;
  /** 1 for tokens, 0 for padding, float32[batch, sequence]. */
  readonly mask: Value<'float32'>;
}

/** The encoder without pooling and head, for graphs that go on from there: adds its inputs and weights to `g`. */
export function encoderBody(
  g: GraphBuilder,
  { config, weights }: EncoderSource,
  options: BuildOptions = {},
): EncoderBody {
  const layout = layouts[config.family];
  const parameters = new EncoderWeights(weights, layout.prefix);
  if (options.tokenTypes && config.tokenTypes === 0) throw new OnnxError(`${config.family} has no token types`);
  const shape = ['batch', 'sequence'] as const;
  const ids = g.input(encoderInputs.ids, 'int64', shape);
  const mask = g.cast(g.input(encoderInputs.mask, 'int64', shape), 'float32');
  const types = options.tokenTypes ? g.input(encoderInputs.tokenTypes, 'int64', shape) : undefined;

  const parts = new Blocks(g, config, parameters);
  const embedded = parts.norm(embedTokens(g, config, layout, parameters, ids, types), layout.embeddingNorm);
  // Padding gets -10000 before the softmax: its exp is exactly 0 in float32, and unlike -∞ it makes no NaN of a row without tokens.
  const bias = g.within('mask', () => g.unsqueeze(g.mul(g.sub(g.scalar(1), mask), g.scalar(-10_000)), [1, 2]));
  const blocks: Value<'float32'>[] = [];
  let hidden = embedded;
  for (let i = 0; i < config.layers; i++) {
    hidden = parts.block(hidden, bias, layout.layer(i));
    blocks.push(hidden);
  }
  return { blocks, embedded, hidden, mask };
}

/** hidden [batch, sequence, hidden] → [batch, hidden], as sentence-transformers pools and normalises. */
export function pool(
  g: GraphBuilder,
  hidden: Value<'float32'>,
  mask: Value<'float32'>,
  { pooling, normalize }: Pooling,
): Value<'float32'> {
  return g.within('pooling', () => {
    const pooled = pooling === 'cls' ? firstToken(g, hidden) : meanToken(g, hidden, mask);
    return normalize ? g.div(pooled, g.max(g.reduceL2(pooled, [1], { keepDims: true }), g.scalar(1e-12))) : pooled;
  });
}

const firstToken = (g: GraphBuilder, hidden: Value<'float32'>): Value<'float32'> => g.gather(hidden, g.int(0), 1);

function meanToken(g: GraphBuilder, hidden: Value<'float32'>, mask: Value<'float32'>): Value<'float32'> {
  const sum = g.reduceSum(g.mul(hidden, g.unsqueeze(mask, [2])), [1]);
  return g.div(sum, g.max(g.reduceSum(mask, [1], { keepDims: true }), g.scalar(1e-9)));
}

function checkpointHead(
  g: GraphBuilder,
  { config, weights }: EncoderSource,
  token: Value<'float32'>,
): Value<'float32'> {
  const { hiddenSize, labels } = config;
  if (labels.length === 0) throw new OnnxError('checkpoint: its architecture has no classification head');
  const layout = layouts[config.family];
  const parameters = new EncoderWeights(weights, layout.prefix);
  const linear = (x: Value<'float32'>, layer: string, outputs: number): Value<'float32'> => {
    const { matrix, bias } = parameters.head(layer, hiddenSize, outputs);
    const w = g.weight(`${layer}.weight`, 'float32', matrix);
    const b = g.weight(`${layer}.bias`, 'float32', bias);
    return g.within(layer, () => g.add(g.matMul(x, w), b));
  };
  const { dense, activation, classifier } = layout.head;
  const inner = linear(token, dense, hiddenSize);
  return linear(activation === 'tanh' ? g.tanh(inner) : g.relu(inner), classifier, labels.length);
}
