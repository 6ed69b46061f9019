import type { Graph, Tensor } from '../model.ts';
import { valuesOf } from '../tensor.ts';

/** The constants of a graph by name: initializers, and what `Constant` nodes hold as a tensor. */
export function constantsOf(graph: Graph): ReadonlyMap<string, Tensor> {
  const constants = new Map(graph.initializers.map((tensor) => [tensor.name, tensor]));
  for (const { opType, domain, outputs, attributes } of graph.nodes) {
    if (opType !== 'Constant' || domain !== '') continue;
    const value = attributes.find(({ name }) => name === 'value');
    if (value?.type === 'tensor') constants.set(outputs[0]!, value.value);
  }
  return constants;
}

/** The elements of an integer constant; undefined for what is none. */
export function integersOf(tensor: Tensor | undefined): number[] | undefined {
  if (tensor?.type === 'int64') return Array.from(valuesOf(tensor, 'int64'), Number);
  if (tensor?.type === 'int32') return Array.from(valuesOf(tensor, 'int32'));
  return undefined;
}
