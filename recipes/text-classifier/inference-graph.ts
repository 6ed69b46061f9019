import { GraphBuilder, type Value } from '../../src/onnx/build/graph-builder.ts';
import type { Model } from '../../src/onnx/model.ts';
import { dimsOf, type Shape, type WeightName, type Weights } from './weights.ts';

export const outputName = 'probabilities';

/**
 * The model that is served: `ids` int32[batch, tokens] → `probabilities` float32[batch, classes]. The embeddings of a
 * row's tokens are summed and divided by the square root of their number (between a sum, which shouts in long mails, and
 * a mean, which whispers), then one hidden layer. Row 0 of the table is zero, so padding adds nothing.
 */
export function inferenceModel(weights: Weights, shape: Shape): Model {
  const g = new GraphBuilder('text-classifier');
  const dims = dimsOf(shape);
  const weight = (name: WeightName): Value<'float32'> => g.initializer(name, 'float32', dims[name], weights[name]);

  const ids = g.input('ids', 'int32', ['batch', 'tokens']);
  const isToken = g.cast(g.greater(ids, g.cast(g.ints([0]), 'int32')), 'float32');
  const count = g.max(g.reduceSum(isToken, [1], { keepDims: true }), g.scalar(1));
  const sum = g.reduceSum(g.gather(weight('table'), g.cast(ids, 'int64')), [1]);
  const bag = g.div(sum, g.sqrt(count));
  const hidden = g.relu(g.gemm(bag, weight('hidden.weight'), weight('hidden.bias')));
  const logits = g.gemm(hidden, weight('output.weight'), weight('output.bias'));
  g.output(outputName, g.softmax(logits), ['batch', shape.classes]);
  return g.toModel();
}
