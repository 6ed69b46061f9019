import type { Attribute, Model, Node, ValueInfo } from '../../model.ts';
import { FreshNames } from '../../rewrite/names.ts';

/** Names of the scalar outputs with a value's smallest and largest number. */
export interface ExtremeOutputs {
  readonly value: string;
  readonly min: string;
  readonly max: string;
}

/**
 * The model with two scalars per value as its only outputs. The engine reduces where the numbers are, so that no
 * activation outlives its readers or crosses into JavaScript.
 */
export function withExtremes(model: Model, values: readonly string[]): { model: Model; outputs: ExtremeOutputs[] } {
  const names = new FreshNames(model.graph);
  const noDims: Attribute = { name: 'keepdims', type: 'int', value: 0 };
  const nodes: Node[] = [];
  const reduce = (opType: string, value: string): string => {
    const output = names.fresh(`${value}_${opType}`);
    nodes.push({ name: output, opType, domain: '', inputs: [value], outputs: [output], attributes: [noDims] });
    return output;
  };
  const outputs = values.map((value) => ({ value, min: reduce('ReduceMin', value), max: reduce('ReduceMax', value) }));
  const infos = outputs.flatMap(({ min, max }) => [min, max]).map((name) => floatOutput(name, []));
  return { model: withOutputs(model, infos, nodes), outputs };
}

/** The model with the values themselves as its only outputs. Graph inputs are left out: the batch has them. */
export function withValues(model: Model, values: readonly string[]): Model {
  const inputs = new Set(model.graph.inputs.map(({ name }) => name));
  const computed = values.filter((value) => !inputs.has(value));
  return withOutputs(
    model,
    computed.map((name) => floatOutput(name)),
    [],
  );
}

function withOutputs(model: Model, outputs: readonly ValueInfo[], added: readonly Node[]): Model {
  const known = new Set(outputs.map(({ name }) => name));
  const graph = {
    ...model.graph,
    nodes: [...model.graph.nodes, ...added],
    outputs,
    valueInfo: model.graph.valueInfo.filter(({ name }) => !known.has(name)),
  };
  return { ...model, graph };
}

const floatOutput = (name: string, dims?: readonly number[]): ValueInfo => ({ name, type: 'float32', dims });
