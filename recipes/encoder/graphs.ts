import { GraphBuilder, type Value } from '../../src/onnx/build/graph-builder.ts';
import { type EncoderSource, encoderBody, type Pooling, pool } from '../../src/onnx/encoder/build.ts';
import type { Model } from '../../src/onnx/model.ts';
import { crossEntropyLoss, maskedDropout } from '../../src/onnx/train/losses.ts';

/** Names of the head's weights: [hidden, classes] and [classes]. */
export const headNames = { weight: 'classifier.weight', bias: 'classifier.bias' } as const;
/** Inputs of a training graph besides those of the encoder, and its outputs. */
export const trainingNames = {
  targets: 'targets',
  rowWeights: 'rowWeights',
  dropoutMask: 'dropoutMask',
  features: 'features',
  loss: 'loss',
  logits: 'logits',
} as const;
export const outputName = 'probabilities';

/** Start of the head: weights [hidden, classes] and bias [classes]. */
export interface Head {
  readonly weight: Float32Array;
  readonly bias: Float32Array;
}

export interface ClassifierShape {
  readonly classes: number;
  readonly pooling: Pooling['pooling'];
}

type Floats = Value<'float32'>;

/** Encoder, pooling, head: `logits` and, by `targets` and `rowWeights`, the `loss`. The forward half of a training step. */
export function classifierLoss(source: EncoderSource, head: Head, { classes, pooling }: ClassifierShape): Model {
  const g = new GraphBuilder('encoder-classifier');
  const { hidden, mask } = encoderBody(g, source);
  const pooled = pool(g, hidden, mask, { pooling, normalize: false });
  headLoss(g, pooled, head, source.config.hiddenSize, classes);
  return g.toModel();
}

/** The head alone, on `features` float32[batch, hidden] that were computed before. */
export function headOnFeatures(head: Head, hiddenSize: number, classes: number): Model {
  const g = new GraphBuilder('classifier-head');
  headLoss(g, g.input(trainingNames.features, 'float32', ['batch', hiddenSize]), head, hiddenSize, classes);
  return g.toModel();
}

function headLoss(g: GraphBuilder, pooled: Floats, head: Head, hiddenSize: number, classes: number): void {
  const dropped = maskedDropout(g, pooled, g.input(trainingNames.dropoutMask, 'float32', ['batch', hiddenSize]));
  const logits = headLogits(g, dropped, head, hiddenSize, classes);
  const targets = g.input(trainingNames.targets, 'float32', ['batch', classes]);
  const rowWeights = g.input(trainingNames.rowWeights, 'float32', ['batch']);
  g.output(trainingNames.loss, crossEntropyLoss(g, logits, targets, rowWeights), []);
  g.output(trainingNames.logits, logits, ['batch', classes]);
}

function headLogits(
  g: GraphBuilder,
  pooled: Floats,
  { weight, bias }: Head,
  hiddenSize: number,
  classes: number,
): Floats {
  const w = g.initializer(headNames.weight, 'float32', [hiddenSize, classes], weight);
  return g.gemm(pooled, w, g.initializer(headNames.bias, 'float32', [classes], bias));
}

/** The model that is served: token ids and mask in, `probabilities` float32[batch, classes] out. */
export function classifierModel(source: EncoderSource, head: Head, { classes, pooling }: ClassifierShape): Model {
  const g = new GraphBuilder('encoder-classifier');
  const { hidden, mask } = encoderBody(g, source);
  const pooled = pool(g, hidden, mask, { pooling, normalize: false });
  const logits = headLogits(g, pooled, head, source.config.hiddenSize, classes);
  g.output(outputName, g.softmax(logits), ['batch', classes]);
  return g.toModel();
}
