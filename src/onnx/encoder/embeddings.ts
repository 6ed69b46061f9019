import type { GraphBuilder, Value } from '../build/graph-builder.ts';
import type { Tensor } from '../model.ts';
import { storedTensor, valuesOf } from '../tensor.ts';
import type { EncoderConfig } from './config.ts';
import type { Layout } from './layout.ts';
import type { EncoderWeights } from './weights.ts';

/**
 * Words + positions (+ token types), before the normalisation: [batch, sequence, hidden]. Without a `tokenTypes` input all
 * tokens are of type 0, as those of single texts, and that row is part of the position table.
 */
export function embedTokens(
  g: GraphBuilder,
  config: EncoderConfig,
  layout: Layout,
  weights: EncoderWeights,
  ids: Value<'int64'>,
  tokenTypes: Value<'int64'> | undefined,
): Value<'float32'> {
  const { vocabularySize, hiddenSize, positions } = config;
  const words = g.weight(layout.words, 'float32', weights.table(layout.words, [vocabularySize, hiddenSize]));
  const positionTable = weights.table(layout.positions, [positions, hiddenSize]);
  const typeTable = config.tokenTypes > 0 && weights.table(layout.tokenTypes, [config.tokenTypes, hiddenSize]);
  const hasTypes = typeTable !== false && tokenTypes !== undefined;
  const table = typeTable === false || hasTypes ? positionTable : plusFirstRow(positionTable, typeTable);
  return g.within('embeddings', () => {
    const places = g.gather(g.weight(layout.positions, 'float32', table), positionIds(g, config, ids));
    const embedded = g.add(g.gather(words, ids), places);
    return hasTypes
      ? g.add(embedded, g.gather(g.weight(layout.tokenTypes, 'float32', typeTable), tokenTypes))
      : embedded;
  });
}

/**
 * 0, 1, 2 … [sequence]; for RoBERTa [batch, sequence]: tokens count from the padding id + 1, padding has its own position
 * (`create_position_ids_from_input_ids` of transformers).
 */
function positionIds(g: GraphBuilder, { family, padTokenId }: EncoderConfig, ids: Value<'int64'>): Value<'int64'> {
  if (family !== 'roberta') {
    return g.declare(g.range(g.int(0), g.gather(g.shape(ids), g.int(1)), g.int(1)), ['sequence']);
  }
  const isToken = g.cast(g.not(g.equal(ids, g.int(padTokenId))), 'int64');
  return g.add(g.mul(g.cumSum(isToken, 1), isToken), g.int(padTokenId));
}

function plusFirstRow(table: Tensor, rows: Tensor): Tensor {
  return storedTensor(table.name, 'float32', table.dims, () => {
    const sum = Float32Array.from(valuesOf(table, 'float32'));
    const width = table.dims[1]!;
    const row = valuesOf(rows, 'float32').subarray(0, width);
    for (let i = 0; i < sum.length; i++) sum[i] = sum[i]! + row[i % width]!;
    return new Uint8Array(sum.buffer);
  });
}
