import type { Graph } from '../model.ts';
import { graphsOf, nestedGraphs } from './nested.ts';

/** Who reads a value: node indices of the graph, and whether a subgraph or the graph's own outputs do. */
export interface Uses {
  readonly nodes: readonly number[];
  readonly elsewhere: boolean;
}

/** Readers of every value that is read at all. A node that reads a value twice is listed twice. */
export function valueUses(graph: Graph): ReadonlyMap<string, Uses> {
  const uses = new Map<string, { nodes: number[]; elsewhere: boolean }>();
  const of = (name: string) => {
    const known = uses.get(name) ?? { nodes: [], elsewhere: false };
    uses.set(name, known);
    return known;
  };
  for (const [i, node] of graph.nodes.entries()) {
    for (const input of node.inputs) of(input).nodes.push(i);
    for (const inner of graphsOf(node).flatMap((body) => [body, ...nestedGraphs(body)])) {
      // A name may be the subgraph's own; counting it anyway only keeps a value that could go.
      for (const input of inner.nodes.flatMap((innerNode) => innerNode.inputs)) of(input).elsewhere = true;
      for (const { name } of inner.outputs) of(name).elsewhere = true;
    }
  }
  for (const { name } of graph.outputs) of(name).elsewhere = true;
  return uses;
}
