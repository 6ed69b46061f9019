import { floatAttribute, intAttribute } from '../attribute.ts';
import { dataTypeCode } from '../data-type.ts';
import type { Attribute, Node, Tensor } from '../model.ts';
import type { FreshNames } from '../rewrite/names.ts';
import { tensorOf } from '../tensor.ts';
import type { Candidate } from './plan.ts';
import type { StoredWeight, WeightStore } from './weight-store.ts';

/** The operator domain of onnxruntime's own kernels. */
export const microsoftDomain = 'com.microsoft';

interface QuantizedActivation {
  readonly quantized: string;
  readonly scale: string;
  readonly zeroPoint: string;
}

/** Writes the int8 form of single nodes of one graph; keeps what they share: quantized activations, constants. */
export class IntegerOps {
  readonly initializers: Tensor[] = [];
  private readonly activations = new Map<string, QuantizedActivation>();
  private readonly transposes = new Map<string, string>();
  private readonly floats = new Map<string, string>();
  private readonly weights: WeightStore;
  private readonly names: FreshNames;

  constructor(weights: WeightStore, names: FreshNames) {
    this.weights = weights;
    this.names = names;
  }

  /** Gather(int8 rows) × Gather(their scales): a row's error is bounded by its own largest value; or by one scale. */
  gather(node: Node, candidate: Candidate): Node[] {
    const stored = this.weights.table(candidate.weights[0]);
    const indices = node.inputs[1]!;
    const rows = this.names.fresh(`${node.name}_rows`);
    const lookup = this.node('Gather', `${node.name}_quant`, [stored.quantized, indices], [rows]);
    return this.inOwnType(node, candidate, (output) => {
      // Without its zero point the engine takes the type of its neighbours for uint8 when it moves it (1.30: behind a Reshape).
      if (stored.hasOneScale) {
        const inputs = [rows, stored.scale, stored.zeroPoint!];
        return [lookup, this.node('DequantizeLinear', `${node.name}_dequant`, inputs, [output])];
      }
      const floats = this.names.fresh(`${node.name}_floats`);
      const nodes = [lookup];
      const scales = this.rowScales(node, stored, indices, nodes);
      nodes.push(
        this.node('Cast', `${node.name}_cast`, [rows], [floats], to('float32')),
        this.node('Mul', `${node.name}_dequant`, [floats, scales], [output]),
      );
      return nodes;
    });
  }

  /** Of the gathered rows, [.., 1]. */
  private rowScales(node: Node, { scale, codes }: StoredWeight, indices: string, nodes: Node[]): string {
    const scales = this.names.fresh(`${node.name}_scales`);
    if (codes === undefined) {
      nodes.push(this.node('Gather', `${node.name}_scale`, [scale, indices], [scales]));
      return scales;
    }
    const [bytes, levels] = [this.names.fresh(`${node.name}_codes`), this.names.fresh(`${node.name}_levels`)];
    nodes.push(
      this.node('Gather', `${node.name}_code`, [codes, indices], [bytes]),
      this.node('Cast', `${node.name}_level`, [bytes], [levels], to('int32')),
      this.node('Gather', `${node.name}_scale`, [scale, levels], [scales]),
    );
    return scales;
  }

  matMul(node: Node, candidate: Candidate): Node[] {
    return this.inOwnType(node, candidate, (output) => {
      const nodes: Node[] = [];
      this.product(node, candidate, this.inFloat32(node.inputs[0]!, candidate, nodes), output, nodes);
      return nodes;
    });
  }

  /** alpha·A'·B' + beta·C as MatMul and Add: alpha is in the quantized weight, beta goes into C. */
  gemm(node: Node, candidate: Candidate): Node[] {
    return this.inOwnType(node, candidate, (output) => {
      const nodes: Node[] = [];
      let a = this.inFloat32(node.inputs[0]!, candidate, nodes);
      if (intAttribute(node, 'transA', 0) !== 0) a = this.transpose(a, nodes);
      const bias = node.inputs[2] ?? '';
      const beta = floatAttribute(node, 'beta', 1);
      if (bias === '' || beta === 0) {
        this.product(node, candidate, a, output, nodes);
        return nodes;
      }
      const product = this.names.fresh(`${node.name}_product`);
      this.product(node, candidate, a, product, nodes);
      let addend = this.inFloat32(bias, candidate, nodes);
      if (beta !== 1) {
        // A node, not a folded constant: the engine folds it when it loads, and the bias may be no constant at all.
        const factor = this.names.fresh(`${node.name}_beta`);
        this.initializers.push(tensorOf(factor, 'float32', [], Float32Array.of(beta)));
        const scaled = this.names.fresh(`${node.name}_scaled_bias`);
        nodes.push(this.node('Mul', `${node.name}_scale_bias`, [addend, factor], [scaled]));
        addend = scaled;
      }
      nodes.push(this.node('Add', `${node.name}_add`, [product, addend], [output]));
      return nodes;
    });
  }

  /** onnxruntime's kernel quantizes the input and the hidden state itself, step by step. */
  lstm(node: Node, { weights: [w, r] }: Candidate): Node[] {
    const [input, recurrence] = [this.weights.gates(w), this.weights.gates(r!)];
    const [x, , , ...states] = node.inputs;
    // B, sequence_lens, initial_h, initial_c, P: five, and what is left out keeps its place.
    const five = Array.from({ length: 5 }, (_, i) => states[i] ?? '');
    const scales = [input.scale, input.zeroPoint, recurrence.scale, recurrence.zeroPoint];
    const inputs = [x!, input.quantized, recurrence.quantized, ...five, ...scales];
    const attributes = node.attributes.filter(({ name }) => name !== 'layout');
    const rewritten = this.node('DynamicQuantizeLSTM', `${node.name}_quant`, inputs, node.outputs, attributes);
    return [{ ...rewritten, domain: microsoftDomain }];
  }

  /**
   * The pattern of onnxruntime's quantizer, which the engine fuses into one kernel together with the Add that follows:
   * DynamicQuantizeLinear, MatMulInteger, Cast, Mul by both scales.
   */
  private product(node: Node, candidate: Candidate, a: string, output: string, nodes: Node[]): void {
    const stored = this.weights.matrix(candidate);
    const weight = stored.isTransposed ? this.transpose(stored.quantized, nodes) : stored.quantized;
    const weightScale = stored.isTransposed ? this.transpose(stored.scale, nodes) : stored.scale;
    const activation = this.activation(a, nodes);
    const sums = this.names.fresh(`${node.name}_sums`);
    const floats = this.names.fresh(`${node.name}_floats`);
    const scale = this.names.fresh(`${node.name}_scale`);
    nodes.push(
      this.node('MatMulInteger', `${node.name}_quant`, [activation.quantized, weight, activation.zeroPoint], [sums]),
      this.node('Cast', `${node.name}_cast`, [sums], [floats], to('float32')),
      this.node('Mul', `${node.name}_scales`, [activation.scale, weightScale], [scale]),
      this.node('Mul', `${node.name}_dequant`, [floats, scale], [output]),
    );
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

  /** A shared table as B (the engine folds it when it loads; the file holds the weights once), or Gemm's transA. */
  private transpose(name: string, nodes: Node[]): string {
    return this.once(this.transposes, name, `${name}_transposed`, (output) =>
      nodes.push(
        this.node('Transpose', `${name}_transpose`, [name], [output], [{ name: 'perm', type: 'ints', value: [1, 0] }]),
      ),
    );
  }

  /** The integer operators speak float32 only; a float16 model's values are widened on the way in … */
  private inFloat32(name: string, candidate: Candidate, nodes: Node[]): string {
    if (!isHalf(candidate)) return name;
    return this.once(this.floats, name, `${name}_float32`, (output) =>
      nodes.push(this.node('Cast', `${name}_widen`, [name], [output], to('float32'))),
    );
  }

  /** … and narrowed on the way out. */
  private inOwnType(node: Node, candidate: Candidate, make: (output: string) => Node[]): Node[] {
    const [output] = node.outputs;
    if (!isHalf(candidate)) return make(output!);
    const wide = this.names.fresh(`${node.name}_float32`);
    return [...make(wide), this.node('Cast', `${node.name}_narrow`, [wide], [output!], to('float16'))];
  }

  private once(known: Map<string, string>, name: string, base: string, add: (output: string) => void): string {
    const before = known.get(name);
    if (before !== undefined) return before;
    const output = this.names.fresh(base);
    add(output);
    known.set(name, output);
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

const isHalf = ({ weights: [weight] }: Candidate): boolean => weight.tensor.type === 'float16';
const to = (type: 'float32' | 'float16' | 'int32'): readonly Attribute[] => [
  { name: 'to', type: 'int', value: dataTypeCode(type) },
];
