import { OnnxError } from '../error.ts';
import { floatsOf } from '../floats.ts';
import type { Model, Node, Tensor } from '../model.ts';
import { storedTensor, tensorOf } from '../tensor.ts';

export interface LoraOptions {
  readonly rank: number;
  /** The adapter's product is scaled by alpha / rank. */
  readonly alpha: number;
  /** Modules by the last part of their name ("query"), or by the whole of it, as PEFT's `target_modules`. */
  readonly targets: readonly string[];
}

/** The two matrices beside one dense layer: x A B · alpha / rank is added to x W. */
export interface Adapter {
  /** The layer's name; its weight is the initializer `<module>.weight`, [inputs, outputs]. */
  readonly module: string;
  readonly inputs: number;
  readonly outputs: number;
  /** Initializers: [inputs, rank] and [rank, outputs]. */
  readonly a: string;
  readonly b: string;
}

export interface AdaptedModel {
  readonly model: Model;
  readonly adapters: readonly Adapter[];
}

/**
 * Puts low-rank adapters beside dense layers (Hu et al., arXiv 2106.09685). A is uniform in ±1/√inputs, as PEFT draws it, B
 * is zero: the model computes what it did before. Throws `OnnxError` when no dense layer has a target's name.
 * @param random numbers in [0, 1)
 */
export function addAdapters(model: Model, { rank, alpha, targets }: LoraOptions, random: () => number): AdaptedModel {
  const weights = new Map(model.graph.initializers.map((tensor) => [tensor.name, tensor]));
  const adapters: Adapter[] = [];
  const added: Tensor[] = [];
  const scale = 'lora.scale';
  const nodes = model.graph.nodes.flatMap((node): readonly Node[] => {
    const weight = node.opType === 'MatMul' ? weights.get(node.inputs[1] ?? '') : undefined;
    const module = weight?.name.replace(/\.weight$/, '') ?? '';
    if (weight === undefined || weight.dims.length !== 2 || !isTarget(module, targets)) return [node];
    const [inputs, outputs] = weight.dims as [number, number];
    const adapter = { module, inputs, outputs, a: `${module}.lora_A`, b: `${module}.lora_B` };
    const limit = 1 / Math.sqrt(inputs);
    const a = Float32Array.from({ length: inputs * rank }, () => (2 * random() - 1) * limit);
    adapters.push(adapter);
    added.push(tensorOf(adapter.a, 'float32', [inputs, rank], a));
    added.push(tensorOf(adapter.b, 'float32', [rank, outputs], new Float32Array(rank * outputs)));
    const [x, y] = [node.inputs[0]!, node.outputs[0]!];
    const at = (part: string): string => `${module}/lora/${part}`;
    const make = (opType: string, part: string, from: readonly string[], to = at(`${part}:out`)): Node => ({
      name: at(part),
      opType,
      domain: '',
      inputs: from,
      outputs: [to],
      attributes: [],
    });
    return [
      { ...node, outputs: [at('frozen')] },
      make('MatMul', 'down', [x, adapter.a]),
      // Scaled where it is narrow.
      make('Mul', 'scale', [at('down:out'), scale]),
      make('MatMul', 'up', [at('scale:out'), adapter.b]),
      make('Add', 'sum', [at('frozen'), at('up:out')], y),
    ];
  });
  for (const target of targets) {
    if (!adapters.some(({ module }) => isTarget(module, [target])))
      throw new OnnxError(`lora: no dense layer is called "${target}"; there are ${denseNames(model).join(', ')}`);
  }
  added.push(tensorOf(scale, 'float32', [], Float32Array.of(alpha / rank)));
  const initializers = [...model.graph.initializers, ...added];
  return { model: { ...model, graph: { ...model.graph, nodes, initializers } }, adapters };
}

const isTarget = (module: string, targets: readonly string[]): boolean =>
  targets.some((target) => module === target || module.endsWith(`.${target}`));

/** Last parts of the names of dense layers, for a message. */
function denseNames({ graph }: Model): string[] {
  const weights = new Set(graph.initializers.map(({ name }) => name));
  const names = graph.nodes.flatMap(({ opType, inputs }) => {
    const name = opType === 'MatMul' && weights.has(inputs[1] ?? '') ? inputs[1]! : '';
    return name.endsWith('.weight')
      ? [
          name
            .replace(/\.weight$/, '')
            .split('.')
            .at(-1)!,
        ]
      : [];
  });
  return [...new Set(names)].sort();
}

/**
 * The initializers of a model with W + A B · alpha / rank in the place of each adapted W; made one at a time when they are
 * written. `values` are the trained matrices by name.
 */
export function mergeAdapters(
  model: Model,
  adapters: readonly Adapter[],
  { rank, alpha }: LoraOptions,
  values: (name: string) => Float32Array,
): Model {
  const byWeight = new Map(adapters.map((adapter) => [`${adapter.module}.weight`, adapter]));
  const initializers = model.graph.initializers.map((tensor) => {
    const adapter = byWeight.get(tensor.name);
    if (adapter === undefined) return tensor;
    const { inputs, outputs, a, b } = adapter;
    return storedTensor(tensor.name, 'float32', tensor.dims, () => {
      const merged = Float32Array.from(floatsOf(tensor));
      addProduct(merged, values(a), values(b), { inputs, rank, outputs, scale: alpha / rank });
      return new Uint8Array(merged.buffer);
    });
  });
  return { ...model, graph: { ...model.graph, initializers } };
}

function addProduct(
  w: Float32Array,
  a: Float32Array,
  b: Float32Array,
  { inputs, rank, outputs, scale }: { inputs: number; rank: number; outputs: number; scale: number },
): void {
  for (let row = 0; row < inputs; row++) {
    for (let column = 0; column < outputs; column++) {
      let sum = 0;
      for (let k = 0; k < rank; k++) sum += a[row * rank + k]! * b[k * outputs + column]!;
      w[row * outputs + column]! += sum * scale;
    }
  }
}
