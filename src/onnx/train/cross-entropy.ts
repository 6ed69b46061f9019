import type { GraphBuilder, Value } from '../build/graph-builder.ts';

/**
 * Softmax cross-entropy, averaged over the batch, and its gradient.
 * @param logits float32 [n, classes]
 * @param targets float32 [n, classes]: one-hot or soft; each row sums to 1
 * @returns `loss` [] and `gradient` [n, classes] = (softmax(logits) − targets) / n
 */
export function softmaxCrossEntropy(
  g: GraphBuilder,
  logits: Value<'float32'>,
  targets: Value<'float32'>,
): { loss: Value<'float32'>; gradient: Value<'float32'> } {
  const perRow = g.neg(g.reduceSum(g.mul(targets, g.logSoftmax(logits)), [1]));
  const rows = g.cast(g.gather(g.shape(logits), g.ints([0])), 'float32');
  return { loss: g.reduceMean(perRow, []), gradient: g.div(g.sub(g.softmax(logits), targets), rows) };
}
