import { GraphBuilder, type Value } from '../../src/onnx/build/graph-builder.ts';
import type { Model } from '../../src/onnx/model.ts';
import { type AdamWOptions, adamW } from '../../src/onnx/train/adamw.ts';
import { softmaxCrossEntropy } from '../../src/onnx/train/cross-entropy.ts';
import { dimsOf, type Shape, type WeightName, weightNames } from './weights.ts';

/** Of each weight: itself and AdamW's two moments, as inputs and, with `next.` before it, as outputs. */
export const stateKinds = ['weight', 'moment1', 'moment2'] as const;
export type StateKind = (typeof stateKinds)[number];
export const stateName = (kind: StateKind, weight: WeightName): string => `${kind}.${weight}`;
export const nextName = (kind: StateKind, weight: WeightName): string => `next.${stateName(kind, weight)}`;

/**
 * One training step as a graph: forward, softmax cross-entropy, gradients by hand, AdamW.
 *
 * A batch touches some thousand of the table's rows, so only those travel: `bags` float32[batch, touched] holds each
 * row's token weights (1/√tokens, else 0), the table's state comes and goes as [touched, dimensions]. The moments of
 * untouched rows stand still meanwhile (lazy Adam). Inputs besides: `targets` float32[batch, classes], each row summing to 1,
 * `rowWeights` float32[batch, 1], and the
 * scalars `learningRate`, `correction1`, `correction2`. Outputs besides: the
 * unweighted `loss` [], `logits` [batch, classes].
 */
export function trainingModel(shape: Shape, options: AdamWOptions): Model {
  const g = new GraphBuilder('text-classifier-step');
  const bags = g.input('bags', 'float32', ['batch', 'touched']);
  const targets = g.input('targets', 'float32', ['batch', shape.classes]);
  const rowWeights = g.input('rowWeights', 'float32', ['batch', 1]);
  const schedule = {
    learningRate: g.input('learningRate', 'float32', []),
    correction1: g.input('correction1', 'float32', []),
    correction2: g.input('correction2', 'float32', []),
  };
  const dims = { ...dimsOf(shape), table: ['touched', shape.dimensions] };
  const state = (weight: WeightName) => ({
    weight: g.input(stateName('weight', weight), 'float32', dims[weight]),
    moment1: g.input(stateName('moment1', weight), 'float32', dims[weight]),
    moment2: g.input(stateName('moment2', weight), 'float32', dims[weight]),
  });
  const states = Object.fromEntries(weightNames.map((name) => [name, state(name)])) as Record<
    WeightName,
    ReturnType<typeof state>
  >;
  const weight = (name: WeightName) => states[name].weight;

  const bag = g.matMul(bags, weight('table'));
  const before = g.gemm(bag, weight('hidden.weight'), weight('hidden.bias'));
  const hidden = g.relu(before);
  const logits = g.gemm(hidden, weight('output.weight'), weight('output.bias'));
  const entropy = softmaxCrossEntropy(g, logits, targets);
  const gradient = g.mul(entropy.gradient, rowWeights);

  const isActive = g.cast(g.greater(before, g.scalar(0)), 'float32');
  const toHidden = g.mul(g.gemm(gradient, weight('output.weight'), undefined, { transB: true }), isActive);
  const toBag = g.gemm(toHidden, weight('hidden.weight'), undefined, { transB: true });
  const gradients: Record<WeightName, Value<'float32'>> = {
    table: g.gemm(bags, toBag, undefined, { transA: true }),
    'hidden.weight': g.gemm(bag, toHidden, undefined, { transA: true }),
    'hidden.bias': g.reduceSum(toHidden, [0]),
    'output.weight': g.gemm(hidden, gradient, undefined, { transA: true }),
    'output.bias': g.reduceSum(gradient, [0]),
  };

  g.output('loss', entropy.loss, []);
  g.output('logits', logits, ['batch', shape.classes]);
  for (const name of weightNames) {
    const isBias = name.endsWith('.bias');
    const next = adamW(g, states[name], gradients[name], schedule, isBias ? { ...options, weightDecay: 0 } : options);
    for (const kind of stateKinds) g.output(nextName(kind, name), next[kind], dims[name]);
  }
  return g.toModel();
}
