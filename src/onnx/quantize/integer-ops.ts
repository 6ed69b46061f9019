import { floatAttribute } from '../attribute.ts';
import { dataTypeCode } from '../data-type.ts';
import type { Attribute, Node, Tensor } from '../model.ts';
import type { FreshNames } from '../rewrite/names.ts';
import { tensorOf } from '../tensor.ts';
import type { Candidate } from './plan.ts';
import type { WeightStore } from './weight-store.ts';

interface QuantizedActivation {
  readonly quantized: string;
  readonly scale: string;
  readonly zeroPoint: string;
}

/** Writes the int8 form of single nodes; keeps what they share: quantized activations and scalar constants. */
export class IntegerOps {
  readonly initializers: Tensor[] = [];
  private readonly activations = new Map<string, QuantizedActivation>();
  private readonly transposes = new Map<string, string>();
  private readonly weights: WeightStore;
  private readonly names: FreshNames;

  constructor(weights: WeightStore, names: FreshNames) {
    this.weights = weights;
    this.names = names;
  }

  /** Gather(int8 rows) × Gather(their scales): a row's error is bounded by its own largest value. */
  gather(node: Node, candidate: Candidate): Node[] {
    const { quantized, scale } = this.weights.table(candidate);
    const indices = node.inputs[1]!;
    const rows = this.names.fresh(`${node.name}_rows`);
    const floats = this.names.fresh(`${node.name}_floats`);
    const scales = this.names.fresh(`${node.name}_scales`);
    return [
      this.node('Gather', `${node.name}_quant`, [quantized, indices], [rows]),
      this.node('Gather', `${node.name}_scale`, [scale, indices], [scales]),
      this.node('Cast', `${node.name}_cast`, [rows], [floats], toFloat),
      this.node('Mul', `${node.name}_dequant`, [floats, scales], node.outputs),
    ];
  }

  /**
   * The pattern of onnxruntime's quantizer, which the engine fuses into one kernel together with the Add that follows:
   * DynamicQuantizeLinear, MatMulInteger, Cast, Mul by both scales.
   */
  matMul(node: Node, candidate: Candidate, outputs: readonly string[] = node.outputs): Node[] {
    const stored = this.weights.matrix(candidate);
    const nodes: Node[] = [];
    const weight = stored.isTransposed ? this.transpose(stored.quantized, nodes) : stored.quantized;
    const weightScale = stored.isTransposed ? this.transpose(stored.scale, nodes) : stored.scale;
    const activation = this.activation(node.inputs[0]!, nodes);
    const sums = this.names.fresh(`${node.name}_sums`);
    const floats = this.names.fresh(`${node.name}_floats`);
    const scale = this.names.fresh(`${node.name}_scale`);
    nodes.push(
      this.node('MatMulInteger', `${node.name}_quant`, [activation.quantized, weight, activation.zeroPoint], [sums]),
      this.node('Cast', `${node.name}_cast`, [sums], [floats], toFloat),
      this.node('Mul', `${node.name}_scales`, [activation.scale, weightScale], [scale]),
      this.node('Mul', `${node.name}_dequant`, [floats, scale], outputs),
    );
    return nodes;
  }

  /** alpha·A·B' + beta·C as MatMul and Add: alpha is in the quantized weight, beta goes into C. */
  gemm(node: Node, candidate: Candidate): Node[] {
    const bias = node.inputs[2] ?? '';
    const beta = floatAttribute(node, 'beta', 1);
    if (bias === '' || beta === 0) return this.matMul(node, candidate);
    const product = this.names.fresh(`${node.name}_product`);
    const nodes = this.matMul(node, candidate, [product]);
    let addend = bias;
    if (beta !== 1) {
      // A node, not a folded constant: the engine folds it when it loads, and the bias may be no constant at all.
      const factor = this.names.fresh(`${node.name}_beta`);
      this.initializers.push(tensorOf(factor, 'float32', [], Float32Array.of(beta)));
      addend = this.names.fresh(`${node.name}_scaled_bias`);
      nodes.push(this.node('Mul', `${node.name}_scale_bias`, [bias, factor], [addend]));
    }
    nodes.push(this.node('Add', `${node.name}_add`, [product, addend], node.outputs));
    return nodes;
  }

  /** One DynamicQuantizeLinear per activation, in front of its first reader: Q, K and V of an encoder share it. */
  private activation(name: string, nodes: Node[]): QuantizedActivation {
    const known = this.activations.get(name);
    if (known !== undefined) return known;
    const activation = {
      quantized: this.names.fresh(`${name}_quantized`),
      scale: this.names.fresh(`${name}_scale`),
      zeroPoint: this.names.fresh(`${name}_zero_point`),
    };
    const { quantized, scale, zeroPoint } = activation;
    nodes.push(this.node('DynamicQuantizeLinear', `${name}_quantize`, [name], [quantized, scale, zeroPoint]));
    this.activations.set(name, activation);
    return activation;
  }

  /** A shared table as B. The engine folds it when it loads; the file holds the weights once. */
  private transpose(name: string, nodes: Node[]): string {
    const known = this.transposes.get(name);
    if (known !== undefined) return known;
    const output = this.names.fresh(`${name}_transposed`);
    const perm: Attribute = { name: 'perm', type: 'ints', value: [1, 0] };
    nodes.push(this.node('Transpose', `${name}_transpose`, [name], [output], [perm]));
    this.transposes.set(name, output);
    return output;
  }

  private node(
    opType: string,
    name: string,
    inputs: readonly string[],
    outputs: readonly string[],
    attributes: readonly Attribute[] = [],
  ): Node {
    return { name: this.names.fresh(name), opType, domain: '', inputs, outputs, attributes };
  }
}

const toFloat: readonly Attribute[] = [{ name: 'to', type: 'int', value: dataTypeCode('float32') }];
