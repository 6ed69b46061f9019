import type { Model, Node, ValueInfo } from '../model.ts';
import { FreshNames, nameNodes } from '../rewrite/names.ts';
import { type Constant, Scope } from './constants.ts';
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
  /** 10·log10(Σy² / Σ(y−ŷ)²) of its outputs over all rows, in dB; the worst of its nodes; null when nothing was lost. */
  readonly sqnrDb: number | null;
}

export interface SensitivityProbe {
  /** The float model, with the int8 form of every layer beside the float one, and both sums of squares as outputs. */
  readonly model: Model;
  readonly layers: readonly Layer[];
  /** Node by node: which layer it is of, and the names of its scalar float32 outputs. */
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
 * errors do not mix, and only two scalars a node come out. Layers inside If, Loop and Scan are in `layers` (they can be
 * kept in float) but not in `sums`: their values cannot leave the body.
 */
export function sensitivityProbe(
  model: Model,
  {
    perChannel = true,
    reduceRange = true,
    exclude = [],
    activations: withActivations = false,
  }: { perChannel?: boolean; reduceRange?: boolean; exclude?: readonly string[]; activations?: boolean } = {},
): SensitivityProbe {
  const { graph } = nameNodes(model);
  const root = new Scope(graph);
  const plan = planDynamic(root, { reduceRange, exclude: new Set(exclude) });
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
  const outputs: ValueInfo[] = [];
  const sums: { layer: number; signal: string; noise: string }[] = [];
  const measured = new Map(placed.filter(({ scope }) => scope === root).map((place) => [place.index, place.candidate]));
  const nodes = graph.nodes.flatMap((node, i): Node[] => {
    const candidate = measured.get(i);
    if (candidate === undefined) return [node];
    const shadow = { ...node, outputs: node.outputs.map((name) => (name === '' ? '' : names.fresh(`${name}_int8`))) };
    const at = node.outputs.findIndex((name) => name !== '');
    const { added, signal, noise } = squares(node.outputs[at]!, shadow.outputs[at]!, candidate, names);
    for (const name of [signal, noise]) outputs.push({ name, type: 'float32', dims: [] });
    sums.push({ layer: layerOf.get(candidate)!, signal, noise });
    return [node, ...integerForm(ops, shadow, candidate), ...added];
  });
  const activations = withActivations ? probedActivations(root, measured) : [];
  const known = new Set(graph.outputs.map(({ name }) => name));
  for (const { output } of activations)
    if (output !== undefined && !known.has(output)) outputs.push({ name: output, type: 'float32', dims: undefined });
  const initializers = [...graph.initializers, ...weights.of(root), ...ops.initializers];
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

/** Σy² and Σ(y−ŷ)² as scalars. */
function squares(
  y: string,
  quantized: string,
  { weights: [weight] }: Candidate,
  names: FreshNames,
): { added: Node[]; signal: string; noise: string } {
  const added: Node[] = [];
  const node = (opType: string, inputs: string[], name: string, attributes: Node['attributes'] = []): string => {
    const output = names.fresh(name);
    added.push({ name: names.fresh(`${name}_node`), opType, domain: '', inputs, outputs: [output], attributes });
    return output;
  };
  const isHalf = weight.tensor.type === 'float16';
  const wide = (name: string): string =>
    isHalf ? node('Cast', [name], `${name}_wide`, [{ name: 'to', type: 'int', value: 1 }]) : name;
  const [float, int8] = [wide(y), wide(quantized)];
  const scalar = [{ name: 'keepdims', type: 'int', value: 0 } as const];
  const signal = node('ReduceSumSquare', [float], `${y}_signal`, scalar);
  const noise = node('ReduceSumSquare', [node('Sub', [float, int8], `${y}_difference`)], `${y}_noise`, scalar);
  return { added, signal, noise };
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
  private readonly totals: { signal: number; noise: number }[];

  constructor(probe: Pick<SensitivityProbe, 'layers' | 'sums'>) {
    this.probe = probe;
    this.totals = probe.sums.map(() => ({ signal: 0, noise: 0 }));
  }

  /** @param scalar value of a scalar output of the run, by its name */
  add(scalar: (output: string) => number): void {
    for (const [i, { signal, noise }] of this.probe.sums.entries()) {
      this.totals[i]!.signal += scalar(signal);
      this.totals[i]!.noise += scalar(noise);
    }
  }

  /** The most sensitive layer first; what could not be measured (bodies of If and Loop) last, in the graph's order. */
  ranked(): LayerError[] {
    const errors = this.probe.layers.map((layer, l): LayerError & { measured: boolean } => {
      const own = this.totals.filter((_, i) => this.probe.sums[i]!.layer === l);
      const lost = own.filter(({ noise }) => noise !== 0);
      // A layer that gives NaN or infinity is as bad as can be.
      const dbs = lost.map(({ signal, noise }) => {
        const db = 10 * Math.log10(signal / noise);
        return Number.isFinite(db) ? db : -1_000;
      });
      return { ...layer, sqnrDb: dbs.length === 0 ? null : Math.min(...dbs), measured: own.length > 0 };
    });
    return errors
      .sort((a, b) => Number(b.measured) - Number(a.measured) || (a.sqnrDb ?? 1_000) - (b.sqnrDb ?? 1_000))
      .map(({ nodes, weights, sqnrDb }) => ({ nodes, weights, sqnrDb }));
  }
}

/** Names of the nodes to exclude so that the `count` most sensitive layers stay float. */
export const nodesKeptFloat = (ranked: readonly Layer[], count: number): string[] =>
  ranked.slice(0, count).flatMap(({ nodes }) => nodes);
