import type { Graph, Tensor } from '../../model.ts';
import { valueUses } from '../../rewrite/uses.ts';

/** Initializers by name, but for those that a graph input of the same name may replace. */
export function constantsOf(graph: Graph): ReadonlyMap<string, Tensor> {
  const overridable = new Set(graph.inputs.map(({ name }) => name));
  return new Map(
    graph.initializers.filter(({ name }) => !overridable.has(name)).map((tensor) => [tensor.name, tensor] as const),
  );
}

/** The same graph without initializers that nothing reads any more; defaults of graph inputs stay. */
export function withoutUnusedInitializers(graph: Graph): Graph {
  const uses = valueUses(graph);
  const inputs = new Set(graph.inputs.map(({ name }) => name));
  const used = graph.initializers.filter(({ name }) => uses.has(name) || inputs.has(name));
  return used.length === graph.initializers.length ? graph : { ...graph, initializers: used };
}
