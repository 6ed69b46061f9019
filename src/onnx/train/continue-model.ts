import { OnnxError } from '../error.ts';
import type { Model, Node } from '../model.ts';
import { validateModel } from '../validate.ts';

/**
 * One model out of two: inputs of `next` that are in `borrowed` stand for values of `first`, whose names it says. All names
 * of `first` stay; what is called alike in `next` gets another name. Outputs are those of `next`.
 * @param extraOutputs output names that nodes of `first` get instead of their own
 */
export function continueModel(
  first: Model,
  next: Model,
  borrowed: ReadonlyMap<string, string>,
  extraOutputs: ReadonlyMap<Node, readonly string[]>,
): Model {
  const nodes = first.graph.nodes.map((node) => {
    const outputs = extraOutputs.get(node);
    return outputs === undefined ? node : { ...node, outputs };
  });
  const taken = new Set([
    ...[...first.graph.inputs, ...first.graph.initializers].map(({ name }) => name),
    ...nodes.flatMap(({ outputs }) => outputs),
  ]);
  const names = new Map(borrowed);
  const renamed = (name: string): string => names.get(name) ?? name;
  const own = next.graph.inputs.filter(({ name }) => !borrowed.has(name));
  const fixed = new Set([...own, ...next.graph.outputs].map(({ name }) => name));
  for (const name of fixed) if (taken.has(name)) throw new OnnxError(`value "${name}" is already in the forward graph`);
  const made = next.graph.nodes.flatMap(({ outputs }) => outputs);
  for (const name of [...next.graph.initializers.map(({ name }) => name), ...made])
    if (taken.has(name)) names.set(name, `backward/${name}`);
  const nodeNames = new Set(nodes.map(({ name }) => name));
  const model: Model = {
    ...first,
    opsets: new Map([...next.opsets, ...first.opsets]),
    irVersion: Math.max(first.irVersion, next.irVersion),
    graph: {
      ...first.graph,
      name: next.graph.name,
      nodes: [
        ...nodes,
        ...next.graph.nodes.map((node) => ({
          ...node,
          name: nodeNames.has(node.name) ? `backward/${node.name}` : node.name,
          inputs: node.inputs.map(renamed),
          outputs: node.outputs.map(renamed),
        })),
      ],
      initializers: [
        ...first.graph.initializers,
        ...next.graph.initializers.map((tensor) => ({ ...tensor, name: renamed(tensor.name) })),
      ],
      inputs: [...first.graph.inputs, ...own],
      outputs: next.graph.outputs,
      valueInfo: [
        ...first.graph.valueInfo,
        ...next.graph.valueInfo.map((info) => ({ ...info, name: renamed(info.name) })),
      ],
    },
  };
  validateModel(model);
  return model;
}
