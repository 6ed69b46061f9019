import type { Attribute, Graph, Node } from '../../model.ts';
import { FreshNames } from '../../rewrite/names.ts';
import type { ValueRange } from '../calibrate/value-range.ts';
import { withoutUnusedInitializers } from './constant-inputs.ts';
import type { ScaleGroup, StaticPlan } from './plan.ts';
import { type Precision, QdqTensors } from './qdq-tensors.ts';
import type { ActivationOutcome, StaticWeightOutcome } from './report.ts';

export interface QdqGraph {
  readonly graph: Graph;
  readonly weights: readonly StaticWeightOutcome[];
  readonly activations: readonly ActivationOutcome[];
}

/**
 * Writes the plan into the graph: QuantizeLinear and DequantizeLinear behind every value that leaves its node in 8 bits
 * and in front of the int8 readers of float values, weights and biases as integers behind a DequantizeLinear. The engine
 * fuses these to integer kernels when it loads the model; without fusing it computes the same up to rounding.
 */
export function insertQdq(
  graph: Graph,
  plan: StaticPlan,
  ranges: ReadonlyMap<string, ValueRange>,
  precision: Precision,
): QdqGraph {
  const writer = new QdqWriter(graph, plan, ranges, precision);
  return writer.write();
}

class QdqWriter {
  private readonly nodes: Node[] = [];
  private readonly graph: Graph;
  private readonly plan: StaticPlan;
  private readonly names: FreshNames;
  private readonly tensors: QdqTensors;
  private readonly outputs: ReadonlySet<string>;
  /** What readers of a value read instead. */
  private readonly dequantized = new Map<string, string>();
  private readonly enteredAs = new Map<string, string>();

  constructor(graph: Graph, plan: StaticPlan, ranges: ReadonlyMap<string, ValueRange>, precision: Precision) {
    this.graph = graph;
    this.plan = plan;
    this.names = new FreshNames(graph);
    this.tensors = new QdqTensors(this.names, ranges, precision);
    this.outputs = new Set(graph.outputs.map(({ name }) => name));
  }

  write(): QdqGraph {
    for (const [i, node] of this.graph.nodes.entries()) this.visit(i, node);
    const kept = new Set(this.nodes.flatMap(({ outputs }) => outputs));
    const graph = withoutUnusedInitializers({
      ...this.graph,
      nodes: this.nodes,
      initializers: [...this.graph.initializers, ...this.tensors.initializers],
      valueInfo: this.graph.valueInfo.filter(({ name }) => kept.has(name)),
    });
    return { graph, weights: this.tensors.weights, activations: this.tensors.activations };
  }

  private visit(i: number, node: Node): void {
    const [output] = node.outputs;
    if (this.plan.clamps.has(i)) {
      const source = this.dequantized.get(node.inputs[0]!)!;
      this.dequantized.set(output!, source);
      if (this.outputs.has(output!)) this.nodes.push(this.node('Identity', `${node.name}_output`, [source], output!));
      return;
    }
    const weighted = this.plan.weighted.get(i);
    let inputs = node.inputs.map((name) => this.dequantized.get(name) ?? name);
    let attributes = node.attributes;
    if (weighted !== undefined) {
      const group = this.plan.quantized.get(weighted.data) ?? this.plan.entries.get(weighted.data)!;
      const data = this.dequantized.get(weighted.data) ?? this.enter(weighted.data, group);
      const { scale } = this.tensors.scaleOf(group);
      const { weight, bias } = this.tensors.weighted(node, weighted, scale, this.nodes);
      inputs = bias === undefined ? [data, weight] : [data, weight, bias];
      // alpha is in the weights, beta in the bias.
      attributes = attributes.filter(({ name }) => name !== 'alpha' && name !== 'beta');
    }
    const group = this.plan.quantized.get(output!);
    if (group === undefined) {
      this.nodes.push({ ...node, inputs, attributes });
      return;
    }
    // A graph output keeps its name: the floats before quantization take another.
    const isOutput = this.outputs.has(output!);
    const floats = isOutput ? this.names.fresh(`${output}_float`) : output!;
    this.nodes.push({ ...node, inputs, attributes, outputs: [floats] });
    this.dequantized.set(output!, this.quantize(floats, output!, group, isOutput ? output! : undefined));
  }

  /** The value in front of int8 readers; one pair for all of them. */
  private enter(value: string, group: ScaleGroup): string {
    const known = this.enteredAs.get(value);
    if (known !== undefined) return known;
    const entered = this.quantize(value, value, group);
    this.enteredAs.set(value, entered);
    return entered;
  }

  private quantize(floats: string, value: string, group: ScaleGroup, result?: string): string {
    const { scaleName, zeroPointName } = this.tensors.scaleOf(group);
    const integers = this.names.fresh(`${value}_quantized`);
    const output = result ?? this.names.fresh(`${value}_dequantized`);
    this.nodes.push(
      this.node('QuantizeLinear', `${value}_quantize`, [floats, scaleName, zeroPointName], integers),
      this.node('DequantizeLinear', `${value}_dequantize`, [integers, scaleName, zeroPointName], output),
    );
    return output;
  }

  private node(opType: string, name: string, inputs: readonly string[], output: string): Node {
    const attributes: readonly Attribute[] = [];
    return { name: this.names.fresh(name), opType, domain: '', inputs, outputs: [output], attributes };
  }
}
