import { dataTypeCode } from '../data-type.ts';
import type { Model, Node, Tensor, ValueInfo } from '../model.ts';
import { FreshNames, nameNodes } from '../rewrite/names.ts';
import { tensorOf } from '../tensor.ts';
import { type Constant, Scope } from './constants.ts';
import type { DynamicQuantizationOptions } from './dynamic.ts';
import { integerForm } from './integer-form.ts';
import { IntegerOps } from './integer-ops.ts';
import { type Candidate, isCandidate, planDynamic } from './plan.ts';
import { WeightStore } from './weight-store.ts';

/** Nodes that become int8 together or not at all, because they share a weight. */
export interface Layer {
  /** By the names that `nameNodes` gives; the first one speaks for the layer. */
  readonly nodes: readonly string[];
  readonly weights: readonly string[];
}

/** A layer's error in the float model's own graph: nothing else is int8. */
export interface LayerError extends Layer {
  /**
   * Signal to noise of its outputs in dB: −10·log10 of the mean over output channels of Σ(y−ŷ)² / Σy², at most 1 for each,
   * over all rows; the worst of its nodes; null when nothing was lost. By channel, because one with an outlier would drown
   * the noise of all others, and its own is not what the next layer reads.
   */
  readonly sqnrDb: number | null;
}

export interface SensitivityProbe {
  /** The float model, with the int8 form of every layer beside the float one, and both sums of squares as outputs. */
  readonly model: Model;
  readonly layers: readonly Layer[];
  /** Node by node: which layer it is of, and the names of its float32 outputs, a value per channel. */
  readonly sums: readonly { readonly layer: number; readonly signal: string; readonly noise: string }[];
  /** The activations that nodes of the main graph quantize; only where they were asked for. */
  readonly activations: readonly ProbedActivation[];
}

export interface ProbedActivation {
  readonly activation: string;
  /** The name under which it is an output of the probe; undefined for the graph's own inputs. */
  readonly output: string | undefined;
  readonly nodes: readonly string[];
}

/**
 * One model that measures every layer's error in one run: the integer nodes read the float model's activations, so the
 * errors do not mix, and only two numbers a channel come out. Layers inside If, Loop and Scan are in `layers` (they can be
 * kept in float) but not in `sums`: their values cannot leave the body.
 */
export function sensitivityProbe(
  model: Model,
  {
    perChannel = true,
    reduceRange = true,
    smallest = 0,
    exclude = [],
    activations: withActivations = false,
  }: Pick<DynamicQuantizationOptions, 'perChannel' | 'reduceRange' | 'smallest' | 'exclude'> & {
    activations?: boolean;
  } = {},
): SensitivityProbe {
  const { graph } = nameNodes(model);
  const root = new Scope(graph);
  const plan = planDynamic(root, { reduceRange, smallest, exclude: new Set(exclude) });
  const placed = [...plan].flatMap(([scope, decisions]) =>
    [...decisions].flatMap(([i, decision]) =>
      isCandidate(decision) ? [{ scope, index: i, node: scope.graph.nodes[i]!, candidate: decision }] : [],
    ),
  );
  const { layers, layerOf } = groupByWeight(placed);

  const names = new FreshNames(graph);
  const candidates = placed.map(({ candidate }) => candidate);
  const weights = new WeightStore(candidates, names, { perChannel, reduceRange }, () => {});
  const ops = new IntegerOps(weights, names);
  const squares = new ChannelSquares(names, model.opsets.get('') ?? 0);
  const outputs: ValueInfo[] = [];
  const sums: { layer: number; signal: string; noise: string }[] = [];
  const measured = new Map(placed.filter(({ scope }) => scope === root).map((place) => [place.index, place.candidate]));
  const nodes = graph.nodes.flatMap((node, i): Node[] => {
    const candidate = measured.get(i);
    if (candidate === undefined) return [node];
    const shadow = { ...node, outputs: node.outputs.map((name) => (name === '' ? '' : names.fresh(`${name}_int8`))) };
    const at = node.outputs.findIndex((name) => name !== '');
    const { added, signal, noise } = squares.of(node.outputs[at]!, shadow.outputs[at]!, candidate);
    for (const name of [signal, noise]) outputs.push({ name, type: 'float32', dims: undefined });
    sums.push({ layer: layerOf.get(candidate)!, signal, noise });
    return [node, ...integerForm(ops, shadow, candidate), ...added];
  });
  const activations = withActivations ? probedActivations(root, measured) : [];
  const known = new Set(graph.outputs.map(({ name }) => name));
  for (const { output } of activations)
    if (output !== undefined && !known.has(output)) outputs.push({ name: output, type: 'float32', dims: undefined });
  const initializers = [...graph.initializers, ...weights.of(root), ...ops.initializers, ...squares.initializers];
  const opsets = new Map([['com.microsoft', 1] as const, ...model.opsets]);
  return {
    model: { ...model, opsets, graph: { ...graph, nodes, initializers, outputs: [...graph.outputs, ...outputs] } },
    layers,
    sums,
    activations,
  };
}

/** What MatMul, Gemm and LSTM read; a table has no activation. float16 values are left out: nobody draws them. */
function probedActivations(root: Scope, measured: ReadonlyMap<number, Candidate>): ProbedActivation[] {
  const inputs = new Set(root.graph.inputs.map(({ name }) => name));
  const readers = new Map<string, string[]>();
  for (const [
    i,
    {
      role,
      weights: [weight],
    },
  ] of measured) {
    if (role === 'table' || weight.tensor.type !== 'float32') continue;
    const node = root.graph.nodes[i]!;
    const activation = node.inputs[0]!;
    if (root.resolve(activation)) continue;
    readers.set(activation, [...(readers.get(activation) ?? []), node.name]);
  }
  return [...readers].map(([activation, nodes]) => ({
    activation,
    output: inputs.has(activation) ? undefined : activation,
    nodes,
  }));
}

/** Writes Σy² and Σ(y−ŷ)² over everything but the last axis, the channels. */
class ChannelSquares {
  readonly initializers: Tensor[] = [];
  private readonly names: FreshNames;
  /** From operator set 18 on a reduction takes its axes as an input. */
  private readonly axes: string | undefined;

  constructor(names: FreshNames, opset: number) {
    this.names = names;
    if (opset >= 18) this.axes = this.ints('axis', [0]);
  }

  of(y: string, quantized: string, candidate: Candidate): { added: Node[]; signal: string; noise: string } {
    const added: Node[] = [];
    const node = (opType: string, inputs: string[], name: string, attributes: Node['attributes'] = []): string => {
      const output = this.names.fresh(name);
      added.push({ name: this.names.fresh(`${name}_node`), opType, domain: '', inputs, outputs: [output], attributes });
      return output;
    };
    const shape = this.ints(`${y}_channels`, [-1, channelsOf(candidate)]);
    const rows = (name: string): string => {
      const isHalf = candidate.weights[0].tensor.type === 'float16';
      const to = [{ name: 'to', type: 'int', value: dataTypeCode('float32') } as const];
      return node('Reshape', [isHalf ? node('Cast', [name], `${name}_wide`, to) : name, shape], `${name}_rows`);
    };
    const sum = (name: string, of: string): string => {
      const keepDims = { name: 'keepdims', type: 'int', value: 0 } as const;
      return this.axes === undefined
        ? node('ReduceSumSquare', [of], name, [keepDims, { name: 'axes', type: 'ints', value: [0] }])
        : node('ReduceSumSquare', [of, this.axes], name, [keepDims]);
    };
    const float = rows(y);
    const signal = sum(`${y}_signal`, float);
    const noise = sum(`${y}_noise`, node('Sub', [float, rows(quantized)], `${y}_difference`));
    return { added, signal, noise };
  }

  private ints(base: string, values: readonly number[]): string {
    const name = this.names.fresh(base);
    this.initializers.push(tensorOf(name, 'int64', [values.length], BigInt64Array.from(values, BigInt)));
    return name;
  }
}

/** Length of the last axis of the node's output. */
function channelsOf({ role, weights: [weight, recurrence] }: Candidate): number {
  const { dims } = weight.tensor;
  if (role === 'gates') return recurrence!.tensor.dims[2]!;
  if (role === 'transposed') return dims[0]!;
  return dims.length === 1 ? 1 : dims.at(-1)!;
}

function groupByWeight(placed: readonly { node: Node; candidate: Candidate }[]): {
  layers: Layer[];
  layerOf: ReadonlyMap<Candidate, number>;
} {
  const layers: { nodes: string[]; weights: Set<Constant> }[] = [];
  const byWeight = new Map<Constant, (typeof layers)[number]>();
  const joined = new Map<Candidate, (typeof layers)[number]>();
  for (const { node, candidate } of placed) {
    const known = [...new Set(candidate.weights.flatMap((weight) => byWeight.get(weight) ?? []))];
    const layer = known[0] ?? { nodes: [], weights: new Set<Constant>() };
    if (known.length === 0) layers.push(layer);
    layer.nodes.push(node.name);
    joined.set(candidate, layer);
    // An LSTM may tie two layers together.
    for (const other of known.slice(1)) {
      layer.nodes.push(...other.nodes);
      for (const weight of other.weights) layer.weights.add(weight);
      for (const [of, at] of joined) if (at === other) joined.set(of, layer);
      layers.splice(layers.indexOf(other), 1);
    }
    for (const weight of [...candidate.weights, ...layer.weights]) byWeight.set(weight, layer);
    for (const weight of candidate.weights) layer.weights.add(weight);
  }
  return {
    layers: layers.map(({ nodes, weights }) => ({ nodes, weights: [...weights].map(({ name }) => name) })),
    layerOf: new Map([...joined].map(([candidate, layer]) => [candidate, layers.indexOf(layer)])),
  };
}

/** Adds up the sums of runs over several batches. */
export class LayerErrors {
  private readonly probe: Pick<SensitivityProbe, 'layers' | 'sums'>;
  private readonly totals: { signal: Float64Array; noise: Float64Array }[];

  constructor(probe: Pick<SensitivityProbe, 'layers' | 'sums'>) {
    this.probe = probe;
    this.totals = probe.sums.map(() => ({ signal: new Float64Array(0), noise: new Float64Array(0) }));
  }

  /** @param values of an output of the run, by its name */
  add(values: (output: string) => Float32Array): void {
    for (const [i, { signal, noise }] of this.probe.sums.entries()) {
      const total = this.totals[i]!;
      total.signal = plus(total.signal, values(signal));
      total.noise = plus(total.noise, values(noise));
    }
  }

  /** The most sensitive layer first; what could not be measured (bodies of If and Loop) last, in the graph's order. */
  ranked(): LayerError[] {
    const errors = this.probe.layers.map((layer, l): LayerError & { measured: boolean } => {
      const own = this.totals.filter((_, i) => this.probe.sums[i]!.layer === l);
      const lost = Math.max(0, ...own.map(({ signal, noise }) => lostShare(signal, noise)));
      return { ...layer, sqnrDb: lost === 0 ? null : -10 * Math.log10(lost), measured: own.length > 0 };
    });
    return errors
      .sort((a, b) => Number(b.measured) - Number(a.measured) || (a.sqnrDb ?? 1_000) - (b.sqnrDb ?? 1_000))
      .map(({ nodes, weights, sqnrDb }) => ({ nodes, weights, sqnrDb }));
  }
}

function plus(total: Float64Array, values: Float32Array): Float64Array {
  return Float64Array.from(values, (value, i) => value + (total[i] ?? 0));
}

/** A channel that is all noise, NaN or infinity has lost everything, one without noise nothing. */
function lostShare(signal: Float64Array, noise: Float64Array): number {
  let lost = 0;
  for (let c = 0; c < noise.length; c++) {
    if (noise[c] === 0) continue;
    const share = noise[c]! / signal[c]!;
    lost += Number.isFinite(share) ? Math.min(share, 1) : 1;
  }
  return noise.length === 0 ? 0 : lost / noise.length;
}

/** Names of the nodes to exclude so that the `count` most sensitive layers stay float. */
export const nodesKeptFloat = (ranked: readonly Layer[], count: number): string[] =>
  ranked.slice(0, count).flatMap(({ nodes }) => nodes);
