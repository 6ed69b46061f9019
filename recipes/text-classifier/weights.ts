import { randomStream } from './random.ts';

/** Sizes that decide the shapes of all weights. */
export interface Shape {
  buckets: number;
  dimensions: number;
  hidden: number;
  classes: number;
}

/** The model's weights, row-major; names are those of the initializers in `model.onnx`. */
export const weightNames = ['table', 'hidden.weight', 'hidden.bias', 'output.weight', 'output.bias'] as const;
export type WeightName = (typeof weightNames)[number];
export type Weights = Record<WeightName, Float32Array>;

export const dimsOf = ({ buckets, dimensions, hidden, classes }: Shape): Record<WeightName, number[]> => ({
  table: [buckets, dimensions],
  'hidden.weight': [dimensions, hidden],
  'hidden.bias': [hidden],
  'output.weight': [hidden, classes],
  'output.bias': [classes],
});

const size = (dims: readonly number[]): number => dims.reduce((product, dim) => product * dim, 1);

export function zeroWeights(shape: Shape): Weights {
  const dims = dimsOf(shape);
  return Object.fromEntries(weightNames.map((name) => [name, new Float32Array(size(dims[name]))])) as Weights;
}

/**
 * Where training from scratch begins. Embeddings start at zero, so a word that was never seen says nothing; the layers
 * above start at random (uniform, variance 1/inputs), which is what tells the embeddings apart. No transcendental
 * function is used: those may differ between machines.
 */
export function initialWeights(shape: Shape, seed: number): Weights {
  const weights = zeroWeights(shape);
  const random = randomStream(seed, 1);
  for (const [name, inputs] of [
    ['hidden.weight', shape.dimensions],
    ['output.weight', shape.hidden],
  ] as const) {
    const limit = Math.sqrt(3 / inputs);
    for (let i = 0; i < weights[name].length; i++) weights[name][i] = (2 * random() - 1) * limit;
  }
  // Above zero, so that every hidden unit passes a gradient on at first.
  weights['hidden.bias'].fill(0.1);
  return weights;
}
