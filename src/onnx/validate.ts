import { OnnxError } from './error.ts';
import type { Graph, Model, Node } from './model.ts';
import { checkTensor } from './tensor.ts';

/**
 * Operator sets of the standard domain that we accept: from 11, which brought `DynamicQuantizeLinear` (older models are
 * converted by their exporters), to 26, the newest released one that onnxruntime 1.30 loads without an override.
 */
export const supportedOpsets = { min: 11, max: 26 } as const;
/** Initializers that are not graph inputs, on which constant weights rest, exist from IR version 4. */
const minIrVersion = 4;

/**
 * Throws `OnnxError` unless the model is sound: known operator set, unique value names, every edge has a source, nodes in
 * topological order without cycles, unique attributes, tensors as large as their shapes. Does not check operators'
 * signatures: the engine does when it loads the model.
 */
export function validateModel(model: Model): void {
  if (model.irVersion < minIrVersion) {
    throw new OnnxError(`model: IR version ${model.irVersion} is not supported, expected ${minIrVersion} or later`);
  }
  const opset = model.opsets.get('');
  if (opset === undefined) throw new OnnxError('model: it does not import the standard operator set');
  if (opset < supportedOpsets.min || opset > supportedOpsets.max) {
    const range = `${supportedOpsets.min} to ${supportedOpsets.max}`;
    throw new OnnxError(`model: operator set ${opset} is not supported, expected ${range}`);
  }
  validateGraph(model.graph, undefined, model.opsets, 'graph');
}

/** Names that nodes may use at one point: the graph's own so far and, in a subgraph, those of the graphs around it. */
interface Scope {
  readonly names: Set<string>;
  readonly outer: Scope | undefined;
}

function isVisible(scope: Scope, name: string): boolean {
  for (let at: Scope | undefined = scope; at !== undefined; at = at.outer) if (at.names.has(name)) return true;
  return false;
}

function validateGraph(
  graph: Graph,
  outer: Scope | undefined,
  opsets: ReadonlyMap<string, number>,
  where: string,
): void {
  const known = new Set<string>();
  const scope: Scope = { names: known, outer };
  for (const { name } of graph.inputs) {
    if (name === '') throw new OnnxError(`${where}: an input has no name`);
    if (known.has(name)) throw new OnnxError(`${where}: input "${name}" occurs twice`);
    known.add(name);
  }
  const initializers = new Set<string>();
  for (const tensor of graph.initializers) {
    if (tensor.name === '') throw new OnnxError(`${where}: an initializer has no name`);
    if (initializers.has(tensor.name)) throw new OnnxError(`${where}: initializer "${tensor.name}" occurs twice`);
    checkTensor(tensor, `${where}: initializer "${tensor.name}"`);
    initializers.add(tensor.name); // an input of the same name is legal: the initializer is its default
    known.add(tensor.name);
  }
  for (const [i, node] of graph.nodes.entries()) {
    const place = `${where}: node ${i} (${node.opType}${node.name ? ` "${node.name}"` : ''})`;
    if (node.opType === '') throw new OnnxError(`${place}: it has no operator type`);
    if (!opsets.has(node.domain)) throw new OnnxError(`${place}: the model does not import domain "${node.domain}"`);
    for (const input of node.inputs) {
      if (input !== '' && !isVisible(scope, input)) throw missingEdge(graph, i, input, place);
    }
    validateAttributes(node, scope, opsets, place);
    for (const output of node.outputs) {
      if (output === '') continue;
      if (known.has(output)) throw new OnnxError(`${place}: value "${output}" is defined twice`);
      known.add(output);
    }
  }
  const outputs = new Set<string>();
  for (const { name } of graph.outputs) {
    if (outputs.has(name)) throw new OnnxError(`${where}: output "${name}" occurs twice`);
    outputs.add(name);
    if (!isVisible(scope, name)) throw new OnnxError(`${where}: nothing computes output "${name}"`);
  }
}

function validateAttributes(node: Node, scope: Scope, opsets: ReadonlyMap<string, number>, place: string): void {
  const names = new Set<string>();
  for (const attribute of node.attributes) {
    const at = `${place}: attribute "${attribute.name}"`;
    if (names.has(attribute.name)) throw new OnnxError(`${at} occurs twice`);
    names.add(attribute.name);
    const tensors =
      attribute.type === 'tensor' ? [attribute.value] : attribute.type === 'tensors' ? attribute.value : [];
    for (const tensor of tensors) checkTensor(tensor, at);
    const graphs = attribute.type === 'graph' ? [attribute.value] : attribute.type === 'graphs' ? attribute.value : [];
    for (const graph of graphs) validateGraph(graph, scope, opsets, at);
  }
}

/** The reason why a node cannot see an input: nobody makes it, it is made in a cycle, or only made later. */
function missingEdge(graph: Graph, index: number, input: string, place: string): OnnxError {
  const producers = new Map<string, number>();
  for (const [i, node] of graph.nodes.entries()) for (const output of node.outputs) producers.set(output, i);
  if (!producers.has(input)) return new OnnxError(`${place}: nothing computes its input "${input}"`);
  const seen = new Set<number>();
  const stack = [producers.get(input)!];
  while (stack.length > 0) {
    const i = stack.pop()!;
    if (i === index) return new OnnxError(`${place}: its input "${input}" depends on its own output: a cycle`);
    if (seen.has(i)) continue;
    seen.add(i);
    for (const source of graph.nodes[i]!.inputs) {
      const producer = producers.get(source);
      if (producer !== undefined) stack.push(producer);
    }
  }
  return new OnnxError(`${place}: its input "${input}" is computed later; nodes must be in topological order`);
}
