import { OnnxError } from '../../error.ts';
import type { Model, Node, Tensor } from '../../model.ts';
import { valueUses } from '../../rewrite/uses.ts';
import { constantsOf } from './constant-inputs.ts';
import { clampsAroundZero, type Role, roleOf } from './operators.ts';
import { type WeightedNode, weightedNode } from './weighted-node.ts';

/** Values that share one scale and zero point: what a node computes and what other nodes only move. */
export interface ScaleGroup {
  /** The value whose range counts: the clamped one where a Relu or Clip follows. */
  range: string;
}

export interface StaticPlan {
  /** By node index. */
  readonly weighted: ReadonlyMap<number, WeightedNode>;
  /** Values that leave their node in 8 bits; every reader gets them from there. */
  readonly quantized: ReadonlyMap<string, ScaleGroup>;
  /** Values that are computed in float and quantized for their int8 readers only; others read the floats. */
  readonly entries: ReadonlyMap<string, ScaleGroup>;
  /** Relu and Clip nodes that go: their output is their input. */
  readonly clamps: ReadonlySet<number>;
  /** Nodes with a role that stay float, by index, and why. */
  readonly skipped: ReadonlyMap<number, string>;
  /** Nodes that run on 8-bit integers without weights. */
  readonly followers: ReadonlySet<number>;
}

/**
 * Decides what becomes int8, node by node in topological order. Conv, MatMul and Gemm with constant weights do; a Conv
 * always leaves integers (only so the engine fuses it), a MatMul or Gemm only where all its readers take integers, since
 * their kernels write floats for nothing. Pools, Add, Concat and the operators that move numbers follow when all their
 * inputs are integers already. Pure: ranges come later, for `rangeValues(plan)`.
 */
export function planStatic(
  model: Model,
  { exclude, reduceRange }: { exclude: ReadonlySet<string>; reduceRange: boolean },
): StaticPlan {
  return new Planner(model, exclude, reduceRange).plan();
}

/** The values whose ranges the plan needs, each once. */
export function rangeValues(plan: StaticPlan): string[] {
  return [...new Set([...plan.quantized.values(), ...plan.entries.values()].map(({ range }) => range))];
}

class Planner {
  private readonly nodes: readonly Node[];
  private readonly uses: ReturnType<typeof valueUses>;
  private readonly constants: ReadonlyMap<string, Tensor>;
  private readonly producers: ReadonlyMap<string, number>;
  private readonly roles: readonly (Role | undefined)[];
  private readonly weighted = new Map<number, WeightedNode>();
  private readonly quantized = new Map<string, ScaleGroup>();
  private readonly entries = new Map<string, ScaleGroup>();
  private readonly clamps = new Set<number>();
  private readonly skipped = new Map<number, string>();
  private readonly followers = new Set<number>();

  constructor({ graph, opsets }: Model, exclude: ReadonlySet<string>, reduceRange: boolean) {
    this.nodes = graph.nodes;
    this.uses = valueUses(graph);
    this.constants = constantsOf(graph);
    this.producers = new Map(graph.nodes.flatMap((node, i) => node.outputs.map((output) => [output, i] as const)));
    this.roles = graph.nodes.map((node, i) => {
      const role = roleOf(node, opsets.get('') ?? 0);
      if (role === undefined) return undefined;
      if (exclude.has(node.name)) {
        this.skipped.set(i, 'excluded');
        return undefined;
      }
      if (role !== 'weighted') return role;
      const weighted = weightedNode(node, this.constants, { reduceRange });
      if ('reason' in weighted) this.skipped.set(i, weighted.reason);
      else this.weighted.set(i, weighted);
      return 'reason' in weighted ? undefined : role;
    });
  }

  plan(): StaticPlan {
    for (const [i, node] of this.nodes.entries()) {
      const reason = this.visit(i, node);
      if (reason !== undefined) this.skipped.set(i, reason);
    }
    const { weighted, quantized, entries, clamps, skipped, followers } = this;
    return { weighted, quantized, entries, clamps, skipped, followers };
  }

  /** Returns why a node with a role stays float. */
  private visit(i: number, node: Node): string | undefined {
    const output = node.outputs[0]!;
    switch (this.roles[i]) {
      case 'weighted': {
        const { data } = this.weighted.get(i)!;
        if (!this.quantized.has(data)) this.entries.set(data, { range: data });
        if (node.opType === 'Conv' || this.isReadAsIntegers(output)) this.quantized.set(output, { range: output });
        return undefined;
      }
      case 'computes':
        if (!node.inputs.every((input) => this.quantized.has(input))) return 'an input is not in 8 bits';
        this.followers.add(i);
        this.quantized.set(output, { range: output });
        return undefined;
      case 'moves': {
        const group = this.quantized.get(node.inputs[0]!);
        if (group === undefined) return 'its input is not in 8 bits';
        this.followers.add(i);
        this.quantized.set(output, group);
        return undefined;
      }
      case 'clamps': {
        const group = this.quantized.get(node.inputs[0]!);
        if (group === undefined) return 'its input is not in 8 bits';
        if (!clampsAroundZero(node, this.constants)) return 'its bounds are not known, or leave out zero';
        if (!this.isOnlyReader(node.inputs[0]!)) return 'another node reads what it clamps';
        this.clamps.add(i);
        group.range = output;
        this.quantized.set(output, group);
        return undefined;
      }
      default:
        return undefined;
    }
  }

  /** Whether whoever reads the value, or what nodes only make of the same numbers, takes 8-bit integers. */
  private isReadAsIntegers(value: string): boolean {
    const uses = this.uses.get(value);
    if (uses === undefined || uses.elsewhere) return false;
    return uses.nodes.every((reader) => {
      const node = this.nodes[reader]!;
      switch (this.roles[reader]) {
        case 'weighted':
          return this.weighted.get(reader)!.data === value;
        case 'moves':
          return node.inputs[0] === value && this.isReadAsIntegers(node.outputs[0]!);
        case 'clamps':
          return (
            uses.nodes.length === 1 &&
            node.inputs[0] === value &&
            clampsAroundZero(node, this.constants) &&
            this.isReadAsIntegers(node.outputs[0]!)
          );
        default:
          return false;
      }
    });
  }

  /** From the node that computes the numbers to this value, nobody but the next node sees them unclamped. */
  private isOnlyReader(value: string): boolean {
    for (let at = value; ; ) {
      const uses = this.uses.get(at)!;
      if (uses.nodes.length !== 1 || uses.elsewhere) return false;
      const producer = this.producers.get(at)!;
      const role = this.roles[producer];
      if (role !== 'moves' && role !== 'clamps') return true;
      at = this.nodes[producer]!.inputs[0]!;
    }
  }
}

/** Throws `OnnxError` when a name to exclude is no node's. */
export function checkExcluded(nodes: readonly Node[], exclude: readonly string[]): ReadonlySet<string> {
  const names = new Set(nodes.map(({ name }) => name));
  for (const name of exclude) if (!names.has(name)) throw new OnnxError(`exclude: the model has no node "${name}"`);
  return new Set(exclude);
}
