import type { Attribute, Graph, Model, Node, Tensor } from '../model.ts';
import { tensorOf } from '../tensor.ts';

export interface LiftedConstants {
  readonly model: Model;
  /** Values of `Constant` nodes that are initializers now. */
  readonly lifted: readonly string[];
  /** Initializers that no longer are graph inputs: a caller can no longer replace them at run time. */
  readonly fixed: readonly string[];
}

/**
 * Brings every constant weight to one place, the initializers, where rewrites and the engine's constant folding look:
 * values of `Constant` nodes are moved there (also inside subgraphs), and initializers that are listed as graph inputs too
 * (as exporters did for IR version 3: a default that a caller may replace) stop being inputs. Constants that are graph
 * outputs themselves, sparse and string constants stay nodes. A model that needs nothing is returned itself.
 */
export function liftConstants(model: Model): LiftedConstants {
  const lifted: string[] = [];
  const initializers = new Set(model.graph.initializers.map(({ name }) => name));
  const fixed = model.graph.inputs.map(({ name }) => name).filter((name) => initializers.has(name));
  const graph = liftGraph(model.graph, lifted);
  if (lifted.length === 0 && fixed.length === 0) return { model, lifted, fixed };
  const inputs = graph.inputs.filter(({ name }) => !initializers.has(name));
  return { model: { ...model, graph: { ...graph, inputs } }, lifted, fixed };
}

function liftGraph(graph: Graph, lifted: string[]): Graph {
  const outputs = new Set(graph.outputs.map(({ name }) => name));
  const initializers: Tensor[] = [];
  const nodes: Node[] = [];
  for (const node of graph.nodes) {
    const tensor = outputs.has(node.outputs[0] ?? '') ? undefined : constantOf(node);
    if (tensor === undefined) nodes.push(liftBodies(node, lifted));
    else initializers.push(tensor);
  }
  if (initializers.length === 0 && nodes.every((node, i) => node === graph.nodes[i])) return graph;
  lifted.push(...initializers.map(({ name }) => name));
  return { ...graph, nodes, initializers: [...graph.initializers, ...initializers] };
}

function liftBodies(node: Node, lifted: string[]): Node {
  let changed = false;
  const lift = (graph: Graph): Graph => {
    const after = liftGraph(graph, lifted);
    changed ||= after !== graph;
    return after;
  };
  const attributes = node.attributes.map((attribute): Attribute => {
    if (attribute.type === 'graph') return { ...attribute, value: lift(attribute.value) };
    return attribute.type === 'graphs' ? { ...attribute, value: attribute.value.map(lift) } : attribute;
  });
  return changed ? { ...node, attributes } : node;
}

/** The value of a `Constant` node (https://onnx.ai/onnx/operators/onnx__Constant.html) under the node's output name. */
function constantOf(node: Node): Tensor | undefined {
  const [name] = node.outputs;
  const [attribute] = node.attributes;
  if (node.opType !== 'Constant' || node.domain !== '' || !name || !attribute || node.attributes.length > 1)
    return undefined;
  if (attribute.name === 'value' && attribute.type === 'tensor') return { ...attribute.value, name };
  if (attribute.name === 'value_float' && attribute.type === 'float') {
    return tensorOf(name, 'float32', [], Float32Array.of(attribute.value));
  }
  if (attribute.name === 'value_floats' && attribute.type === 'floats') {
    return tensorOf(name, 'float32', [attribute.value.length], Float32Array.from(attribute.value));
  }
  if (attribute.name === 'value_int' && attribute.type === 'int') {
    return tensorOf(name, 'int64', [], BigInt64Array.of(BigInt(attribute.value)));
  }
  if (attribute.name === 'value_ints' && attribute.type === 'ints') {
    return tensorOf(name, 'int64', [attribute.value.length], BigInt64Array.from(attribute.value, BigInt));
  }
  return undefined;
}
