import { GraphBuilder, type Value } from '../build/graph-builder.ts';
import type { DataType } from '../data-type.ts';
import { OnnxError } from '../error.ts';
import { floatsOf } from '../floats.ts';
import type { Dim, Model, Node } from '../model.ts';
import { constantsOf, integersOf } from './constants.ts';
import { continueModel } from './continue-model.ts';
import { MissingGradientError } from './error.ts';
import type { Floats, ForwardNode } from './gradient/rule.ts';
import { ruleOf } from './gradient/rules.ts';
import { type Dims, inferShapes } from './shapes.ts';

export interface GradientRequest {
  /** Name of the value to differentiate: float32, one element. */
  readonly loss: string;
  /** Names of the float32 values to differentiate by: initializers, inputs, or values inside the graph. */
  readonly by: readonly string[];
}

/** What a graph that goes on behind the backward pass can use. */
export interface Differentiated {
  readonly g: GraphBuilder;
  /** The loss's gradient by each requested value; zeros where the loss does not depend on it. */
  readonly gradients: ReadonlyMap<string, Floats>;
  /** A value of the forward graph. */
  forward<T extends DataType>(name: string, type: T): Value<T>;
}

/**
 * Reverse-mode differentiation of an ONNX graph: the forward model, followed by its backward pass, followed by what `then`
 * adds (an optimizer, outputs). Nothing of the forward model is copied or changed, but its outputs are only those that
 * `then` declares. `gradientScale` (float32 scalar), if given, is what the gradient of the loss starts with, instead of 1.
 * Throws `MissingGradientError` for an operator between the requested values and the loss that has no rule here.
 */
export function differentiate(
  model: Model,
  { loss, by }: GradientRequest,
  then: (differentiated: Differentiated) => void,
  gradientScale?: (g: GraphBuilder) => Floats,
): Model {
  const opset = model.opsets.get('') ?? 0;
  if (opset < 18) throw new OnnxError(`model: operator set ${opset}, its gradient needs 18 or newer`);
  const backward = new Backward(model);
  const seed = gradientScale?.(backward.g) ?? backward.g.scalar(1);
  const gradients = backward.g.within('gradient', () => backward.from(loss, by, seed));
  then({ g: backward.g, gradients, forward: (name, type) => backward.ref(name, type) });
  return continueModel(model, backward.g.toModel(), backward.borrowed, backward.extraOutputs);
}

/** Operators whose results carry no gradient: what stands before them does not matter to the loss's slope. */
const flat: ReadonlySet<string> = new Set(
  'Shape Size Equal Greater Less GreaterOrEqual LessOrEqual Not And Or ArgMax ArgMin NonZero Sign Floor Ceil Round'.split(
    ' ',
  ),
);

class Backward {
  readonly g = new GraphBuilder('training');
  /** Inputs of the backward graph that stand for forward values, and those values' names. */
  readonly borrowed = new Map<string, string>();
  /** Outputs that forward nodes get in addition. */
  readonly extraOutputs = new Map<Node, readonly string[]>();
  private readonly model: Model;
  private readonly shapes: ReadonlyMap<string, Dims>;
  private readonly constants: ReturnType<typeof constantsOf>;
  private readonly types: ReadonlyMap<string, DataType>;
  private readonly refs = new Map<string, Value>();

  constructor(model: Model) {
    this.model = model;
    this.shapes = inferShapes(model.graph);
    this.constants = constantsOf(model.graph);
    const { inputs, valueInfo } = model.graph;
    this.types = new Map([
      ...[...this.constants].map(([name, { type }]) => [name, type] as const),
      ...[...inputs, ...valueInfo].flatMap(({ name, type }) => (type === undefined ? [] : [[name, type] as const])),
    ]);
  }

  ref<T extends DataType>(name: string, type: T): Value<T> {
    const known = this.refs.get(name);
    if (known !== undefined) return known as Value<T>;
    // Under a name of its own: constants of both graphs are called alike.
    const value = this.g.input(`forward:${name}`, type, this.shapes.get(name) ?? []);
    this.refs.set(name, value);
    this.borrowed.set(value.name, name);
    return value;
  }

  /** Walks from the loss to the requested values; a value's gradient is the sum of what its uses contribute. */
  from(loss: string, by: readonly string[], seed: Floats): Map<string, Floats> {
    const { nodes } = this.model.graph;
    const depends = dependents(nodes, by);
    if (!depends.has(loss))
      throw new OnnxError(`"${loss}" does not depend on ${by.map((name) => `"${name}"`).join(', ')}`);
    const gradients = new Map<string, Floats>();
    gradients.set(loss, this.shaped(seed, this.shapes.get(loss)));
    for (const node of [...nodes].reverse()) {
      const dy = gradients.get(node.outputs[0] ?? '');
      if (dy === undefined || !node.inputs.some((name) => depends.has(name))) continue;
      const rule = ruleOf(node);
      if (rule === undefined) throw new MissingGradientError(node);
      const byInput = this.g.within(node.name || node.opType, () => {
        const makers = rule(this.forwardNode(node, dy));
        return node.inputs.map((name, i) => {
          if (!depends.has(name)) return undefined;
          const make = makers[i];
          if (make === undefined) throw new MissingGradientError(node, `has no gradient by its input ${i}`);
          return make();
        });
      });
      if (!by.includes(node.outputs[0]!)) gradients.delete(node.outputs[0]!);
      for (const [i, gradient] of byInput.entries()) {
        if (gradient === undefined) continue;
        const name = node.inputs[i]!;
        const sum = gradients.get(name);
        gradients.set(name, sum === undefined ? gradient : this.g.add(sum, gradient));
      }
    }
    return new Map(by.map((name) => [name, gradients.get(name) ?? this.zerosLike(name)]));
  }

  private shaped(seed: Floats, dims: Dims | undefined): Floats {
    if (dims === undefined || dims.length === 0) return seed;
    return this.g.reshape(
      seed,
      dims.map(() => 1),
    );
  }

  private zerosLike(name: string): Floats {
    const inputs = [this.g.shape(this.ref(name, 'float32'))];
    return this.g.node('ConstantOfShape', { inputs, outputs: ['float32'] })[0];
  }

  private forwardNode(node: Node, dy: Floats): ForwardNode {
    const dims = (name: string | undefined): readonly Dim[] => {
      const known = this.shapes.get(name ?? '');
      if (known === undefined)
        throw new MissingGradientError(node, `has a gradient only where the rank of "${name}" is known`);
      return known;
    };
    return {
      g: this.g,
      node,
      dy,
      input: (i) => this.ref(node.inputs[i]!, 'float32'),
      indices: (i) => {
        const name = node.inputs[i]!;
        if (this.types.get(name) === 'int32') return this.g.cast(this.ref(name, 'int32'), 'int64');
        return this.ref(name, 'int64');
      },
      condition: (i) => this.ref(node.inputs[i]!, 'bool'),
      output: (i = 0) => this.ref(this.outputName(node, i), 'float32'),
      inputDims: (i) => dims(node.inputs[i]),
      outputDims: () => dims(node.outputs[0]),
      integers: (i) => {
        const name = node.inputs[i] ?? '';
        if (name === '') return undefined;
        const values = integersOf(this.constants.get(name));
        if (values === undefined)
          throw new MissingGradientError(node, `has no gradient when its input "${name}" is computed`);
        return values;
      },
      scalar: (i) => {
        const tensor = this.constants.get(node.inputs[i] ?? '');
        return tensor?.type === 'float32' && tensor.dims.every((size) => size === 1) ? floatsOf(tensor)[0] : undefined;
      },
    };
  }

  /** The i-th output of a forward node, which gets a name when it was left out. */
  private outputName(node: Node, i: number): string {
    const outputs = this.extraOutputs.get(node) ?? node.outputs;
    if ((outputs[i] ?? '') !== '') return outputs[i]!;
    const named = Array.from({ length: Math.max(outputs.length, i + 1) }, (_, k) =>
      k === i ? `${node.outputs[0]}/output${i}` : (outputs[k] ?? ''),
    );
    this.extraOutputs.set(node, named);
    return named[i]!;
  }
}

/** Everything that depends on one of the given values in a way that has a slope, those values included. */
function dependents(nodes: readonly Node[], by: readonly string[]): ReadonlySet<string> {
  const found = new Set(by);
  for (const { opType, inputs, outputs } of nodes) {
    if (!flat.has(opType) && inputs.some((name) => found.has(name))) for (const name of outputs) found.add(name);
  }
  found.delete('');
  return found;
}
