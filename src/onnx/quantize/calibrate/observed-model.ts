import type { Attribute, Model, Node, ValueInfo } from '../../model.ts';
import { FreshNames } from '../../rewrite/names.ts';

/** A value under observation, and the names of the scalar outputs with its smallest and largest number. */
export interface Observed {
  readonly value: string;
  readonly min: string;
  readonly max: string;
}

/**
 * The model with two scalars per value as its outputs, and with the values themselves if asked for; its own outputs go.
 * The engine reduces where the numbers are, so that no activation outlives its readers or crosses into JavaScript just to
 * find its extremes. Values that are graph inputs are no outputs: the batch has them.
 */
export function withObservers(
  model: Model,
  values: readonly string[],
  { whole }: { whole: boolean },
): { model: Model; observed: Observed[] } {
  const names = new FreshNames(model.graph);
  const noDims: Attribute = { name: 'keepdims', type: 'int', value: 0 };
  const nodes: Node[] = [];
  const reduce = (opType: string, value: string): string => {
    const output = names.fresh(`${value}_${opType}`);
    nodes.push({ name: output, opType, domain: '', inputs: [value], outputs: [output], attributes: [noDims] });
    return output;
  };
  const observed = values.map((value) => ({ value, min: reduce('ReduceMin', value), max: reduce('ReduceMax', value) }));
  const inputs = new Set(model.graph.inputs.map(({ name }) => name));
  const outputs = [
    ...observed.flatMap(({ min, max }) => [min, max]).map((name) => floatOutput(name, [])),
    ...(whole ? values.filter((value) => !inputs.has(value)).map((name) => floatOutput(name)) : []),
  ];
  const known = new Set(outputs.map(({ name }) => name));
  const graph = {
    ...model.graph,
    nodes: [...model.graph.nodes, ...nodes],
    outputs,
    valueInfo: model.graph.valueInfo.filter(({ name }) => !known.has(name)),
  };
  return { model: { ...model, graph }, observed };
}

const floatOutput = (name: string, dims?: readonly number[]): ValueInfo => ({ name, type: 'float32', dims });
