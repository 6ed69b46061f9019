import type { Attribute, Graph, Model } from '../model.ts';
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
 * The same model with every node named, those in bodies of If, Loop and Scan too, and no name twice, so that a node can
 * be excluded, reported and compared by name. Names that are unique already stay; a model that needs nothing is returned
 * itself.
 */
export function nameNodes(model: Model): Model {
  const counts = new Map<string, number>();
  const graphs = [model.graph, ...nestedGraphs(model.graph)];
  for (const { name } of graphs.flatMap(({ nodes }) => nodes)) counts.set(name, (counts.get(name) ?? 0) + 1);
  const isUnique = (name: string): boolean => name !== '' && counts.get(name) === 1;
  if (graphs.every(({ nodes }) => nodes.every(({ name }) => isUnique(name)))) return model;
  const names = new FreshNames(model.graph);
  const named = (graph: Graph): Graph => ({
    ...graph,
    nodes: graph.nodes.map((node, i) => ({
      ...node,
      name: isUnique(node.name) ? node.name : names.fresh(`${node.name || node.opType}_${i}`),
      attributes: node.attributes.map((attribute): Attribute => {
        if (attribute.type === 'graph') return { ...attribute, value: named(attribute.value) };
        return attribute.type === 'graphs' ? { ...attribute, value: attribute.value.map(named) } : attribute;
      }),
    })),
  });
  return { ...model, graph: named(model.graph) };
}
