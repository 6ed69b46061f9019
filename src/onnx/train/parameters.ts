import { OnnxError } from '../error.ts';
import { floatsOf } from '../floats.ts';
import type { Model } from '../model.ts';

/** A weight that is trained, with AdamW's moments; a step changes the arrays in place. */
export interface Parameter {
  readonly dims: readonly number[];
  readonly weight: Float32Array;
  readonly moment1: Float32Array;
  readonly moment2: Float32Array;
}
/** By name of the weight in the graph. */
export type Parameters = ReadonlyMap<string, Parameter>;

/** Copies of the named initializers, with moments of zero. Throws `OnnxError` for a name that is no float32 initializer. */
export function parametersOf(model: Model, names: readonly string[]): Parameters {
  const initializers = new Map(model.graph.initializers.map((tensor) => [tensor.name, tensor]));
  return new Map(
    names.map((name) => {
      const tensor = initializers.get(name);
      if (tensor === undefined) throw new OnnxError(`model: it has no weight "${name}" to train`);
      const values = floatsOf(tensor);
      // Weights that are read or converted when asked for are nobody else's.
      const weight = tensor.stored === undefined ? Float32Array.from(values) : values;
      const zeros = (): Float32Array => new Float32Array(weight.length);
      return [name, { dims: tensor.dims, weight, moment1: zeros(), moment2: zeros() }];
    }),
  );
}

/** The model with the named initializers as inputs of the same names, so that whoever runs it brings them. */
export function weightsAsInputs(model: Model, names: Iterable<string>): Model {
  const wanted = new Set(names);
  const { initializers, inputs } = model.graph;
  const moved = initializers.filter(({ name }) => wanted.has(name));
  return {
    ...model,
    graph: {
      ...model.graph,
      initializers: initializers.filter(({ name }) => !wanted.has(name)),
      inputs: [...inputs, ...moved.map(({ name, type, dims }) => ({ name, type, dims }))],
    },
  };
}
