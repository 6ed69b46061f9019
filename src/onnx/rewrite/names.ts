import type { Graph, Model } from '../model.ts';
import { nestedGraphs } from './nested.ts';

/** Hands out names that nothing in a graph (or its subgraphs) uses yet, for values and nodes that a rewrite adds. */
export class FreshNames {
  private readonly taken: Set<string>;

  constructor(graph: Graph) {
    this.taken = new Set();
    for (const part of [graph, ...nestedGraphs(graph)]) {
      for (const { name } of [...part.inputs, ...part.outputs, ...part.initializers, ...part.valueInfo])
        this.taken.add(name);
      for (const node of part.nodes) for (const name of [node.name, ...node.outputs]) this.taken.add(name);
    }
  }

  /** `base` itself when it is free, else `base_1`, `base_2` … */
  fresh(base: string): string {
    let name = base;
    for (let i = 1; this.taken.has(name) || name === ''; i++) name = `${base}_${i}`;
    this.taken.add(name);
    return name;
  }
}

/**
 * The same model with every node of the main graph named, and no name twice, so that a node can be excluded, reported
 * and compared by name. Names that are unique already stay; a model that needs nothing is returned itself.
 */
export function nameNodes(model: Model): Model {
  const { nodes } = model.graph;
  const counts = new Map<string, number>();
  for (const { name } of nodes) counts.set(name, (counts.get(name) ?? 0) + 1);
  const isUnique = (name: string): boolean => name !== '' && counts.get(name) === 1;
  if (nodes.every(({ name }) => isUnique(name))) return model;
  const names = new FreshNames(model.graph);
  const named = nodes.map((node, i) =>
    isUnique(node.name) ? node : { ...node, name: names.fresh(`${node.name || node.opType}_${i}`) },
  );
  return { ...model, graph: { ...model.graph, nodes: named } };
}
