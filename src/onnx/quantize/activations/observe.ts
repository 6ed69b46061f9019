import { OnnxError } from '../../error.ts';
import type { Model } from '../../model.ts';
import { nameNodes } from '../../rewrite/names.ts';
import { Scope } from '../constants.ts';
import { type Candidate, isCandidate, type PlanOptions, planDynamic } from '../plan.ts';
import { type ActivationStatistics, ChannelObserver } from './channel-statistics.ts';

/** A MatMul or Gemm of the main graph with a float32 matrix of its own channels. */
export interface Product {
  readonly index: number;
  readonly candidate: Candidate;
  readonly activation: string;
}

/** The products that become int8 and whose activation lies as [.., channels] in float32. */
export function productsOf(root: Scope, options: PlanOptions): Product[] {
  return [...(planDynamic(root, options).get(root) ?? [])].flatMap(([index, decision]) => {
    if (!isCandidate(decision) || (decision.role !== 'columns' && decision.role !== 'transposed')) return [];
    const { type, dims } = decision.weights[0].tensor;
    const node = root.graph.nodes[index]!;
    const turnsInput = node.attributes.some(
      (attribute) => attribute.name === 'transA' && attribute.type === 'int' && attribute.value !== 0,
    );
    const activation = node.inputs[0]!;
    if (type !== 'float32' || dims.length !== 2 || turnsInput || root.resolve(activation)) return [];
    return [{ index, candidate: decision, activation }];
  });
}

/** Rows of the matrix that is multiplied with: channels of its activation. */
export const depthOf = ({ role, weights: [weight] }: Candidate): number =>
  weight.tensor.dims[role === 'transposed' ? 1 : 0]!;

export interface ActivationObservation {
  /** The float model, with the activations as further outputs. */
  readonly model: Model;
  /** Outputs to ask a run for. */
  readonly outputs: readonly string[];
  /** @param values of a float32 output, or of a graph input, by its name */
  add(values: (name: string) => Float32Array): void;
  statistics(): ActivationStatistics;
}

/**
 * Watches the activations that int8 products read. Run `model` over calibration rows, as large a batch as will be served,
 * and give every run to `add`.
 */
export function observeActivations(
  model: Model,
  {
    reduceRange = true,
    smallest = 0,
    exclude = [],
  }: { reduceRange?: boolean; smallest?: number; exclude?: readonly string[] } = {},
): ActivationObservation {
  const { graph } = nameNodes(model);
  const observers = new Map<string, ChannelObserver>();
  for (const { activation, candidate } of productsOf(new Scope(graph), {
    reduceRange,
    smallest,
    exclude: new Set(exclude),
  }))
    observers.set(activation, new ChannelObserver(depthOf(candidate)));
  const inputs = new Set(graph.inputs.map(({ name }) => name));
  const known = new Set(graph.outputs.map(({ name }) => name));
  const outputs = [...observers.keys()].filter((name) => !inputs.has(name));
  const added = outputs
    .filter((name) => !known.has(name))
    .map((name) => ({ name, type: 'float32', dims: undefined }) as const);
  return {
    model: { ...model, graph: { ...graph, outputs: [...graph.outputs, ...added] } },
    outputs,
    add(values) {
      for (const [name, observer] of observers) {
        const seen = values(name);
        const at = seen.findIndex((value) => !Number.isFinite(value));
        if (at !== -1) throw new OnnxError(`calibration: activation "${name}" is not finite: ${seen[at]}`);
        observer.add(seen);
      }
    },
    statistics: () => new Map([...observers].map(([name, observer]) => [name, observer.statistics()])),
  };
}
