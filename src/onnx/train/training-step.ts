import { GraphBuilder, type Value } from '../build/graph-builder.ts';
import type { Model } from '../model.ts';
import { type AdamWOptions, adamW, adamWDefaults } from './adamw.ts';
import { differentiate } from './differentiate.ts';
import { fuseGelu } from './fuse-gelu.ts';
import { weightsAsInputs } from './parameters.ts';

/** Inputs and outputs that training graphs have besides those of the forward model. */
export const stepNames = {
  /** float32 scalars. `gradientScale` multiplies the loss's gradient: the micro-batch's share of its batch. */
  learningRate: 'learningRate',
  correction1: 'correction1',
  correction2: 'correction2',
  maxGradientNorm: 'maxGradientNorm',
  gradientScale: 'gradientScale',
  /** float32 scalar output: the norm of all gradients together, before clipping. */
  gradientNorm: 'gradientNorm',
  moment1: (weight: string): string => `moment1:${weight}`,
  moment2: (weight: string): string => `moment2:${weight}`,
  gradient: (weight: string): string => `gradient:${weight}`,
  next: (name: string): string => `next:${name}`,
} as const;

export interface TrainingStepOptions {
  /** Name of the forward model's output that is minimised: float32, one element. It stays an output. */
  readonly loss: string;
  /** Initializers to train. */
  readonly trainable: readonly string[];
  /** Other outputs of the forward model to keep. */
  readonly report?: readonly string[];
  /** By default as in PyTorch. Vectors (biases, scales of norms) are never decayed. */
  readonly adamW?: AdamWOptions;
}

type Floats = Value<'float32'>;

/**
 * One training step as one ONNX model: forward pass, backward pass, clipping by the global norm, AdamW. Trained weights are
 * inputs of their own names, with `moment1:` and `moment2:` inputs beside them, and come out as `next:` of each. All other
 * weights stay initializers: they are neither passed nor copied. An output may be given the memory of its input, because
 * every update waits for the norm of all gradients, by when no weight is read any more.
 */
export function trainingStep(forward: Model, options: TrainingStepOptions): Model {
  const dims = dimsOf(forward, options.trainable);
  return withBackward(forward, options, (g, gradients, weights) => update(g, dims, weights, gradients, options));
}

/**
 * The same without the update, for batches that do not fit at once: adds the gradients to the inputs `gradient:` of each
 * weight and gives the sums out as `next:gradient:`. `updateStep` ends such a batch.
 */
export function gradientStep(forward: Model, options: TrainingStepOptions): Model {
  const dims = dimsOf(forward, options.trainable);
  return withBackward(forward, options, (g, gradients) => {
    for (const [weight, gradient] of gradients) {
      const name = stepNames.gradient(weight);
      const shape = dims.get(weight)!;
      g.output(stepNames.next(name), g.add(g.input(name, 'float32', shape), gradient), shape);
    }
  });
}

/** Clipping and AdamW by the inputs `gradient:` of each weight. */
export function updateStep(forward: Model, options: TrainingStepOptions): Model {
  const g = new GraphBuilder('update');
  const dims = dimsOf(forward, options.trainable);
  const weights = new Map([...dims].map(([weight, shape]) => [weight, g.input(weight, 'float32', shape)]));
  const gradients = new Map(
    [...dims].map(([weight, shape]) => [weight, g.input(stepNames.gradient(weight), 'float32', shape)]),
  );
  update(g, dims, weights, gradients, options);
  return g.toModel();
}

function withBackward(
  forward: Model,
  { loss, trainable, report = [] }: TrainingStepOptions,
  then: (g: GraphBuilder, gradients: ReadonlyMap<string, Floats>, weights: ReadonlyMap<string, Floats>) => void,
): Model {
  const model = weightsAsInputs(fuseGelu(forward), trainable);
  const kept = model.graph.outputs.filter(({ name }) => name === loss || report.includes(name));
  const step = differentiate(
    model,
    { loss, by: trainable },
    ({ g, gradients, forward }) =>
      then(g, gradients, new Map(trainable.map((name) => [name, forward(name, 'float32')]))),
    (g) => g.input(stepNames.gradientScale, 'float32', []),
  );
  return { ...step, graph: { ...step.graph, outputs: [...kept, ...step.graph.outputs] } };
}

function update(
  g: GraphBuilder,
  dims: ReadonlyMap<string, readonly number[]>,
  weights: ReadonlyMap<string, Floats>,
  gradients: ReadonlyMap<string, Floats>,
  { adamW: constants = adamWDefaults }: TrainingStepOptions,
): void {
  const scalar = (name: string): Floats => g.input(name, 'float32', []);
  const schedule = {
    learningRate: scalar(stepNames.learningRate),
    correction1: scalar(stepNames.correction1),
    correction2: scalar(stepNames.correction2),
  };
  const norm = globalNorm(g, [...gradients.values()]);
  // As torch.nn.utils.clip_grad_norm_ has it.
  const clip = g.min(g.div(scalar(stepNames.maxGradientNorm), g.add(norm, g.scalar(1e-6))), g.scalar(1));
  g.output(stepNames.gradientNorm, norm, []);
  for (const [name, weight] of weights) {
    const shape = dims.get(name)!;
    const [name1, name2] = [stepNames.moment1(name), stepNames.moment2(name)];
    const state = { weight, moment1: g.input(name1, 'float32', shape), moment2: g.input(name2, 'float32', shape) };
    const next = adamW(
      g,
      state,
      g.mul(gradients.get(name)!, clip),
      schedule,
      shape.length > 1 ? constants : { ...constants, weightDecay: 0 },
    );
    g.output(stepNames.next(name), next.weight, shape);
    g.output(stepNames.next(name1), next.moment1, shape);
    g.output(stepNames.next(name2), next.moment2, shape);
  }
}

function globalNorm(g: GraphBuilder, gradients: readonly Floats[]): Floats {
  const squares = gradients.map(
    (gradient) =>
      g.node('ReduceSumSquare', { inputs: [gradient], attributes: { keepdims: 0 }, outputs: ['float32'] })[0],
  );
  return g.sqrt(g.node('Sum', { inputs: squares, outputs: ['float32'] })[0]);
}

function dimsOf(forward: Model, trainable: readonly string[]): ReadonlyMap<string, readonly number[]> {
  const wanted = new Set(trainable);
  return new Map(
    forward.graph.initializers.filter(({ name }) => wanted.has(name)).map(({ name, dims }) => [name, dims]),
  );
}
