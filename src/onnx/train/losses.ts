import type { GraphBuilder, Value } from '../build/graph-builder.ts';

type Floats = Value<'float32'>;

/**
 * Softmax cross-entropy, averaged over the batch by `rowWeights`: Σ wᵢ · −Σ tᵢ log softmax(zᵢ) / n.
 * @param logits float32[n, classes]
 * @param targets float32[n, classes]: one-hot or soft; each row sums to 1
 * @param rowWeights float32[n]; 1 for every row gives the plain mean
 * @returns float32 scalar
 */
export function crossEntropyLoss(g: GraphBuilder, logits: Floats, targets: Floats, rowWeights: Floats): Floats {
  const perRow = g.neg(g.reduceSum(g.mul(targets, g.logSoftmax(logits)), [1]));
  return g.reduceMean(g.mul(perRow, rowWeights), []);
}

/** Mean of (y − target)² over all elements of two tensors of one shape. */
export function meanSquaredError(g: GraphBuilder, y: Floats, targets: Floats): Floats {
  const difference = g.sub(y, targets);
  return g.reduceMean(g.mul(difference, difference), []);
}

/**
 * Contrastive loss with the other rows of the batch as negatives (van den Oord et al., arXiv 1807.03748; multiple negatives
 * ranking of sentence-transformers): row i of `anchors` should be most like row i of `positives`.
 * @param anchors, positives float32[n, width], of length 1 where cosine similarity is meant
 * @param targets float32[n, n]: the identity, or soft where rows belong together
 * @param scale factor of the similarities, 1 / temperature
 */
export function contrastiveLoss(
  g: GraphBuilder,
  anchors: Floats,
  positives: Floats,
  targets: Floats,
  scale: number,
): Floats {
  const similarities = g.mul(g.matMul(anchors, g.transpose(positives, [1, 0])), g.scalar(scale));
  return g.reduceMean(g.neg(g.reduceSum(g.mul(targets, g.logSoftmax(similarities)), [1])), []);
}

/** Dropout with an explicit mask (0 or 1 / (1 − p), broadcast): the same step with the same mask gives the same bits. */
export const maskedDropout = (g: GraphBuilder, x: Floats, mask: Floats): Floats => g.mul(x, mask);
