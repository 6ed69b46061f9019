import type { Graph, Node, Tensor } from '../model.ts';
import { graphsOf } from '../rewrite/nested.ts';

/** A tensor that the model brings along: an initializer, or the value of a Constant node. */
export interface Constant {
  readonly name: string;
  readonly tensor: Tensor;
  /** The graph that it lies in; nodes of the graphs inside may use it too. */
  readonly home: Scope;
  /** It is a graph input as well, and only the default of that: old exporters list all their weights so. */
  readonly isInput: boolean;
}

/** What a name means at one place: a constant, perhaps turned round by Transpose nodes on the way. */
export interface ConstantView {
  readonly constant: Constant;
  readonly isTransposed: boolean;
}

/** A graph and the graphs around it: what its nodes' input names stand for. */
export class Scope {
  readonly graph: Graph;
  readonly outer: Scope | undefined;
  /** By node index, in the order of `graphsOf`: the bodies of If, Loop and Scan. */
  readonly bodies: ReadonlyMap<number, readonly Scope[]>;
  /** Nodes that make constants or pass them on; without readers in float they can go. */
  readonly carriers = new Map<number, ConstantView>();
  /** Of every name that this graph itself defines; undefined for computed values. */
  readonly views = new Map<string, ConstantView | undefined>();

  constructor(graph: Graph, outer?: Scope) {
    this.graph = graph;
    this.outer = outer;
    const inputs = new Set(graph.inputs.map(({ name }) => name));
    for (const name of inputs) this.views.set(name, undefined);
    for (const tensor of graph.initializers) {
      const constant = { name: tensor.name, tensor, home: this, isInput: inputs.has(tensor.name) };
      this.views.set(tensor.name, { constant, isTransposed: false });
    }
    for (const [i, node] of graph.nodes.entries()) {
      const view = this.carried(node);
      for (const output of node.outputs) this.views.set(output, view);
      if (view) this.carriers.set(i, view);
    }
    this.bodies = new Map(
      [...graph.nodes.entries()].flatMap(([i, node]) => {
        const bodies = graphsOf(node);
        return bodies.length === 0 ? [] : [[i, bodies.map((body) => new Scope(body, this))] as const];
      }),
    );
  }

  /** The constant behind a name, the innermost graph first; undefined for computed values. */
  resolve(name: string): ConstantView | undefined {
    if (this.views.has(name)) return this.views.get(name);
    return this.outer?.resolve(name);
  }

  /** This scope and all below. */
  *all(): Iterable<Scope> {
    yield this;
    for (const bodies of this.bodies.values()) for (const body of bodies) yield* body.all();
  }

  private carried(node: Node): ConstantView | undefined {
    if (node.domain !== '' || node.outputs.length !== 1) return undefined;
    if (node.opType === 'Constant') {
      const value = node.attributes.find((attribute) => attribute.name === 'value');
      if (value?.type !== 'tensor') return undefined;
      const name = node.outputs[0]!;
      return { constant: { name, tensor: value.value, home: this, isInput: false }, isTransposed: false };
    }
    const from = node.inputs.length === 1 ? this.resolve(node.inputs[0]!) : undefined;
    if (!from) return undefined;
    if (node.opType === 'Identity') return from;
    // An exporter that does not fold constants writes a Linear layer as MatMul by Transpose(weight).
    if (node.opType === 'Transpose' && from.constant.tensor.dims.length === 2 && reverses(node))
      return { ...from, isTransposed: !from.isTransposed };
    return undefined;
  }
}

function reverses(node: Node): boolean {
  const perm = node.attributes.find((attribute) => attribute.name === 'perm');
  return perm === undefined || (perm.type === 'ints' && perm.value.join() === '1,0');
}
