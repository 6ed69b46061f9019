import type { DataType } from '../data-type.ts';
import { OnnxError } from '../error.ts';
import type { Dim, Model, Node, Tensor, ValueInfo } from '../model.ts';
import { type TypedDataType, tensorOf, type ValuesOf } from '../tensor.ts';
import { validateModel } from '../validate.ts';
import { type AttributeInput, attributesOf } from './attributes.ts';

/**
 * Operator set that built graphs declare. From 18 on every reduction takes its axes as an input and scatter operators
 * reduce, which is what gradients need; 18 came with ONNX 1.13 (2022), so every engine in use reads it.
 */
export const builderOpset = 18;
/** The IR version that goes with operator set 18. */
const irVersion = 8;

/** A value of one graph under construction: what a node computes, an input, or a constant. */
export interface Value<T extends DataType = DataType> {
  readonly name: string;
  readonly type: T;
}

/** A node to add: `inputs` may skip optional ones with undefined. */
export interface NodeInput<T extends readonly DataType[]> {
  readonly inputs: readonly (Value | undefined)[];
  readonly attributes?: Readonly<Record<string, AttributeInput>>;
  /** Element types of the outputs, one each. */
  readonly outputs: T;
  /** Operator domain; anything but the standard one must be imported with `importDomain`. */
  readonly domain?: string;
}

/**
 * The growing graph: values, constants, nodes in the order of their creation (which is a topological one, because a value
 * exists before it can be used). `GraphBuilder` adds the operators.
 */
export class GraphUnderConstruction {
  readonly name: string;
  private readonly values = new Map<Value, 'given' | 'computed'>();
  private readonly usedNames = new Set<string>();
  private readonly counters = new Map<string, number>();
  private readonly nodes: Node[] = [];
  private readonly initializers = new Map<string, Tensor>();
  private readonly constants = new Map<string, Value>();
  private readonly inputs: ValueInfo[] = [];
  private readonly outputs: { info: ValueInfo; value: Value }[] = [];
  private readonly opsets = new Map<string, number>([['', builderOpset]]);
  private readonly declared: ValueInfo[] = [];
  private part = '';

  constructor(name: string) {
    this.name = name;
  }

  /** A graph input. `dims`: sizes, or names for dimensions that vary (`['batch', 384]`). */
  input<T extends DataType>(name: string, type: T, dims: readonly Dim[]): Value<T> {
    const value = this.newValue(this.takeName(name), type);
    this.inputs.push({ name, type, dims });
    return value;
  }

  /** A named constant: the graph's weights. The values are not copied. */
  initializer<T extends TypedDataType>(name: string, type: T, dims: readonly number[], values: ValuesOf<T>): Value<T> {
    this.initializers.set(name, tensorOf(this.takeName(name), type, dims, values));
    return this.newValue(name, type);
  }

  /** A tensor of another model or checkpoint as a named constant, in memory or stored. `type` is what it must be. */
  weight<T extends DataType>(name: string, type: T, tensor: Tensor): Value<T> {
    if (tensor.type !== type) throw new OnnxError(`tensor "${name}": expected ${type}, it is ${tensor.type}`);
    this.initializers.set(name, { ...tensor, name: this.takeName(name) });
    return this.newValue(name, type);
  }

  /** An unnamed float32 scalar; equal ones are one initializer. */
  scalar(value: number): Value<'float32'> {
    return this.constant('float32', [], Float32Array.of(value), `scalar ${Math.fround(value)} ${Object.is(value, -0)}`);
  }

  /** An unnamed int64 vector (axes, shapes); equal ones are one initializer. */
  ints(values: readonly number[]): Value<'int64'> {
    return this.constant('int64', [values.length], BigInt64Array.from(values, BigInt), `ints ${values.join(',')}`);
  }

  /** An unnamed int64 scalar; equal ones are one initializer. */
  int(value: number): Value<'int64'> {
    return this.constant('int64', [], BigInt64Array.of(BigInt(value)), `int ${value}`);
  }

  /** States the shape of a value that the engine cannot infer; without it, fusions that compare shapes are left out. */
  declare<T extends DataType>(value: Value<T>, dims: readonly Dim[]): Value<T> {
    this.requireOwn(value);
    this.declared.push({ name: value.name, type: value.type, dims });
    return value;
  }

  /** Nodes that `make` adds carry the name of the part that they belong to: `layer.0.query/MatMul_0`. */
  within<T>(part: string, make: () => T): T {
    const outer = this.part;
    this.part = `${outer}${part}/`;
    try {
      return make();
    } finally {
      this.part = outer;
    }
  }

  /** Makes a value a graph output under `name`. One value may be several outputs. */
  output(name: string, value: Value, dims: readonly Dim[]): void {
    this.requireOwn(value);
    const info: ValueInfo = { name: this.takeName(name), type: value.type, dims };
    // A computed value takes the output's name in `toModel`; anything else is passed on by an Identity node.
    const renameable = this.values.get(value) === 'computed' && this.outputs.every((output) => output.value !== value);
    const source = renameable ? value : this.node('Identity', { inputs: [value], outputs: [value.type] })[0];
    this.outputs.push({ info, value: source });
  }

  /** Adds any operator; the typed methods of `GraphBuilder` cover the usual ones. Node and value names are made unique. */
  node<const T extends readonly DataType[]>(opType: string, input: NodeInput<T>): { [K in keyof T]: Value<T[K]> } {
    for (const value of input.inputs) if (value !== undefined) this.requireOwn(value);
    const domain = input.domain ?? '';
    if (!this.opsets.has(domain)) throw new OnnxError(`${opType}: import domain "${domain}" first`);
    const name = this.freshName(this.part + opType);
    const outputs = input.outputs.map((type, i) =>
      this.newValue(i === 0 ? `${name}:out` : `${name}:out${i}`, type, 'computed'),
    );
    this.nodes.push({
      name,
      opType,
      domain,
      inputs: input.inputs.map((value) => value?.name ?? ''),
      outputs: outputs.map((value) => value.name),
      attributes: attributesOf(input.attributes ?? {}),
    });
    return outputs as { [K in keyof T]: Value<T[K]> };
  }

  importDomain(domain: string, version: number): void {
    this.opsets.set(domain, version);
  }

  /** The finished model. Throws `OnnxError` when it is not sound. */
  toModel({ metadata = {} }: { metadata?: Readonly<Record<string, string>> } = {}): Model {
    const rename = new Map(this.outputs.map(({ info, value }) => [value.name, info.name]));
    const renamed = (name: string): string => rename.get(name) ?? name;
    const model: Model = {
      irVersion,
      opsets: new Map(this.opsets),
      producerName: 'goto3',
      producerVersion: '',
      domain: '',
      modelVersion: 0,
      graph: {
        name: this.name,
        nodes: this.nodes.map((node) => ({
          ...node,
          inputs: node.inputs.map(renamed),
          outputs: node.outputs.map(renamed),
        })),
        initializers: [...this.initializers.values()],
        inputs: [...this.inputs],
        outputs: this.outputs.map(({ info }) => info),
        valueInfo: this.declared.filter(({ name }) => !rename.has(name)),
      },
      metadata: new Map(Object.entries(metadata)),
    };
    validateModel(model);
    return model;
  }

  private constant<T extends TypedDataType>(
    type: T,
    dims: readonly number[],
    values: ValuesOf<T>,
    key: string,
  ): Value<T> {
    const existing = this.constants.get(key);
    if (existing !== undefined) return existing as Value<T>;
    const name = this.freshName('constant');
    this.initializers.set(name, tensorOf(name, type, dims, values));
    const value = this.newValue(name, type);
    this.constants.set(key, value);
    return value;
  }

  private newValue<T extends DataType>(name: string, type: T, origin: 'given' | 'computed' = 'given'): Value<T> {
    const value = { name, type };
    this.values.set(value, origin);
    return value;
  }

  private takeName(name: string): string {
    if (name === '' || this.usedNames.has(name)) throw new OnnxError(`graph "${this.name}": name "${name}" is taken`);
    this.usedNames.add(name);
    return name;
  }

  private freshName(base: string): string {
    let name: string;
    do {
      const count = this.counters.get(base) ?? 0;
      this.counters.set(base, count + 1);
      name = `${base}_${count}`;
    } while (this.usedNames.has(name));
    this.usedNames.add(name);
    return name;
  }

  private requireOwn(value: Value): void {
    if (!this.values.has(value)) {
      throw new OnnxError(`graph "${this.name}": value "${value.name}" belongs to another graph`);
    }
  }
}
