import type { Graph, Node } from '../model.ts';

/** The graphs in a node's attributes (bodies of If, Loop, Scan). */
export function graphsOf(node: Node): readonly Graph[] {
  return node.attributes.flatMap((attribute) => {
    if (attribute.type === 'graph') return [attribute.value];
    return attribute.type === 'graphs' ? attribute.value : [];
  });
}

/** All graphs below a graph, at any depth. */
export function nestedGraphs(graph: Graph): Graph[] {
  const below = graph.nodes.flatMap(graphsOf);
  return below.flatMap((inner) => [inner, ...nestedGraphs(inner)]);
}
