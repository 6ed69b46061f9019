import { dataTypeCode } from '../../data-type.ts';
import { floatsOf } from '../../floats.ts';
import type { Model, Node, Tensor } from '../../model.ts';
import { FreshNames, nameNodes } from '../../rewrite/names.ts';
import { type Uses, valueUses } from '../../rewrite/uses.ts';
import { tensorOf } from '../../tensor.ts';
import { Scope } from '../constants.ts';
import { largestMagnitude } from '../weight-loops.ts';
import type { ActivationStatistics, ChannelStatistics } from './channel-statistics.ts';
import { depthOf, type Product, productsOf } from './observe.ts';
import { smoothingScales } from './smoothing-scales.ts';

export interface SmoothedActivation {
  readonly activation: string;
  readonly nodes: readonly string[];
  /** How many channels are divided by more than 1. */
  readonly channels: number;
  /** Expected noise of the products, as a share of what it was. */
  readonly noise: number;
}

/** A division of the activation takes time and its scales bytes: it has to take a fifth of the noise away. */
const mostNoise = 0.8;
/** So that weights times 128 stay far from the largest float. */
const largestSmoothed = 2 ** 100;

/**
 * SmoothQuant (Xiao et al. 2022, arXiv 2211.10438): channels of an activation that stretch the range of all others are
 * divided down in front of its products, and their weights multiplied up. The scales are powers of two, so the float
 * model's outputs stay the same to the last bit (but for numbers below 2^-119). A residual that reads the same activation
 * reads it as it was, which is why nothing can be folded into a LayerNormalization in front; the scales are bytes that
 * the engine turns into floats when it loads. `model` is not changed; `statistics` of it in, those of the result out.
 */
export function smoothActivations(
  model: Model,
  statistics: ActivationStatistics,
  {
    perChannel = true,
    reduceRange = true,
    smallest = 0,
    exclude = [],
    strength,
  }: {
    perChannel?: boolean;
    reduceRange?: boolean;
    smallest?: number;
    exclude?: readonly string[];
    /** SmoothQuant's α, for all activations; left out: searched, for those where it pays. */
    strength?: number | undefined;
  } = {},
): { model: Model; statistics: ActivationStatistics; smoothed: readonly SmoothedActivation[] } {
  const { graph } = nameNodes(model);
  const products = productsOf(new Scope(graph), { reduceRange, smallest, exclude: new Set(exclude) });
  const uses = valueUses(graph);
  const names = new FreshNames(graph);
  const initializers = new Map<string, Tensor>(graph.initializers.map((tensor) => [tensor.name, tensor]));
  const nodes: Node[] = [...graph.nodes];
  const inFront = new Map<number, Node[]>();
  const after = new Map(statistics);
  const smoothed: SmoothedActivation[] = [];
  for (const activation of new Set(products.map((product) => product.activation))) {
    const readers = products.filter((product) => product.activation === activation);
    const seen = statistics.get(activation);
    if (seen === undefined || !readers.every((reader) => ownsWeight(reader, seen, uses, initializers, nodes))) continue;
    const search = { perChannel, reduceRange, ...(strength !== undefined && { strength }) };
    const { scales, noise } = smoothingScales(seen, readers, search);
    const channels = scales.filter((scale) => scale > 1).length;
    if (channels === 0 || (strength === undefined && noise > mostNoise)) continue;
    const [bytes, floats, divided] = [names.fresh('smooth'), names.fresh('smooth_float'), names.fresh('smoothed')];
    initializers.set(bytes, tensorOf(bytes, 'uint8', [scales.length], scales));
    const to = [{ name: 'to', type: 'int', value: dataTypeCode('float32') } as const];
    const node = (opType: string, inputs: string[], output: string, attributes: Node['attributes'] = []): Node => ({
      name: names.fresh(output),
      opType,
      domain: '',
      inputs,
      outputs: [output],
      attributes,
    });
    inFront.set(Math.min(...readers.map(({ index }) => index)), [
      node('Cast', [bytes], floats, to),
      node('Div', [activation, floats], divided),
    ]);
    for (const { index, candidate } of readers) {
      const reader = nodes[index]!;
      nodes[index] = { ...reader, inputs: reader.inputs.map((input, i) => (i === 0 ? divided : input)) };
      const weight = initializers.get(candidate.weights[0].name)!;
      initializers.set(weight.name, multiplied(weight, scales, candidate.role === 'transposed'));
    }
    after.set(divided, dividedBy(seen, scales));
    smoothed.push({ activation, nodes: readers.map(({ index }) => nodes[index]!.name), channels, noise });
  }
  if (smoothed.length === 0) return { model, statistics, smoothed };
  const rewritten = {
    ...graph,
    nodes: nodes.flatMap((node, i) => [...(inFront.get(i) ?? []), node]),
    initializers: [...initializers.values()],
  };
  return { model: { ...model, graph: rewritten }, statistics: after, smoothed };
}

/** The weight is an initializer of this graph that nothing else reads, so that it can be multiplied up. */
function ownsWeight(
  { index, candidate }: Product,
  { mean }: ChannelStatistics,
  uses: ReadonlyMap<string, Uses>,
  initializers: ReadonlyMap<string, Tensor>,
  nodes: readonly Node[],
): boolean {
  const { name, isInput, tensor } = candidate.weights[0];
  const use = uses.get(name);
  return (
    !isInput &&
    nodes[index]!.inputs[1] === name &&
    initializers.get(name) === tensor &&
    use !== undefined &&
    !use.elsewhere &&
    use.nodes.length === 1 &&
    mean.length === depthOf(candidate) &&
    largestMagnitude(tensor) < largestSmoothed
  );
}

function multiplied(weight: Tensor, scales: Uint8Array, isTransposed: boolean): Tensor {
  const columns = weight.dims[1]!;
  const values = floatsOf(weight).map(
    (value, i) => value * scales[isTransposed ? i % columns : Math.floor(i / columns)]!,
  );
  return tensorOf(weight.name, 'float32', weight.dims, values);
}

function dividedBy({ mean, meanSquare, largest, runs }: ChannelStatistics, scales: Uint8Array): ChannelStatistics {
  return {
    mean: mean.map((value, c) => value / scales[c]!),
    meanSquare: meanSquare.map((value, c) => value / scales[c]! ** 2),
    largest: largest.map((value, c) => value / scales[c]!),
    runs: runs.map(({ low, high }) => ({
      low: low.map((value, c) => value / scales[c]!),
      high: high.map((value, c) => value / scales[c]!),
    })),
  };
}
