import { floatAttribute } from '../../attribute.ts';
import { floatsOf } from '../../floats.ts';
import type { Graph, Model, Node } from '../../model.ts';
import { FreshNames, nameNodes } from '../../rewrite/names.ts';
import { valueUses } from '../../rewrite/uses.ts';
import { tensorOf } from '../../tensor.ts';
import { Scope } from '../constants.ts';
import { quantizeStack } from '../weight.ts';
import { floatBytesOf } from '../weight-values.ts';
import type { ActivationStatistics } from './channel-statistics.ts';
import { depthOf, type Product, productsOf } from './observe.ts';

/**
 * Bias correction (Nagel et al. 2019, arXiv 1906.04721, section 4.2): a weight's rounding moves its outputs by
 * (W − Ŵ)ᵀ·E[x] on average, and the bias behind the product takes that back. It costs neither bytes nor time. Products
 * without a constant bias of their own keep their shift. The result is the float model for `quantizeDynamic` with the
 * same options, and for nothing else: as a float model its outputs are the shifted ones. `model` is not changed.
 */
export function correctBiases(
  model: Model,
  statistics: ActivationStatistics,
  {
    perChannel = true,
    reduceRange = true,
    smallest = 0,
    exclude = [],
  }: { perChannel?: boolean; reduceRange?: boolean; smallest?: number; exclude?: readonly string[] } = {},
): { model: Model; corrected: readonly string[] } {
  const { graph } = nameNodes(model);
  const root = new Scope(graph);
  const names = new FreshNames(graph);
  const nodes = [...graph.nodes];
  const initializers = [...graph.initializers];
  const corrected: string[] = [];
  for (const product of productsOf(root, { reduceRange, smallest, exclude: new Set(exclude) })) {
    const mean = statistics.get(product.activation)?.mean;
    const bias = biasOf(product, root);
    if (mean === undefined || bias === undefined || mean.length !== depthOf(product.candidate)) continue;
    const shift = meanShift(product, mean, { perChannel, reduceRange });
    const values = floatsOf(bias.tensor);
    const name = names.fresh(`${bias.name}_corrected`);
    const moved = Float32Array.from(shift, (value, n) => values[values.length === 1 ? 0 : n]! + value / bias.factor);
    initializers.push(tensorOf(name, 'float32', [shift.length], moved));
    const reader = nodes[bias.reader]!;
    nodes[bias.reader] = { ...reader, inputs: reader.inputs.map((input, i) => (i === bias.input ? name : input)) };
    corrected.push(graph.nodes[product.index]!.name);
  }
  if (corrected.length === 0) return { model, corrected };
  return { model: { ...model, graph: withoutUnread({ ...graph, nodes, initializers }, graph) }, corrected };
}

/** (W − Ŵ)ᵀ·mean for every output, alpha included. */
function meanShift(
  { candidate }: Product,
  mean: Float64Array,
  { perChannel, reduceRange }: { perChannel: boolean; reduceRange: boolean },
): Float64Array {
  const { role, alpha, weights } = candidate;
  const { tensor } = weights[0];
  const [rows, columns] = [tensor.dims[0]!, tensor.dims[1]!];
  const isTransposed = role === 'transposed';
  const channel = perChannel ? (isTransposed ? 'row' : 'column') : 'tensor';
  // alpha scales weights and steps alike, so that it can come last.
  const { values, scales } = quantizeStack(floatBytesOf(tensor), [1, rows, columns], channel, { reduceRange });
  const floats = floatsOf(tensor);
  const shift = new Float64Array(isTransposed ? rows : columns);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) {
      const [k, n] = isTransposed ? [c, r] : [r, c];
      const at = r * columns + c;
      shift[n]! += (floats[at]! - values[at]! * scales[perChannel ? n : 0]!) * mean[k]!;
    }
  return shift.map((value) => alpha * value);
}

/** The constant that is added to a product and to nothing else's. */
function biasOf({ index, candidate }: Product, root: Scope) {
  const { graph } = root;
  const node = graph.nodes[index]!;
  const outputs = candidate.weights[0].tensor.dims[candidate.role === 'transposed' ? 0 : 1]!;
  if (node.opType === 'Gemm') return constantInput(node, 2, index, outputs, floatAttribute(node, 'beta', 1), root);
  const uses = valueUses(graph).get(node.outputs[0]!);
  if (uses === undefined || uses.elsewhere || uses.nodes.length !== 1) return undefined;
  const reader = uses.nodes[0]!;
  const add = graph.nodes[reader]!;
  if (add.domain !== '' || add.opType !== 'Add') return undefined;
  return constantInput(add, add.inputs[0] === node.outputs[0] ? 1 : 0, reader, outputs, 1, root);
}

function constantInput(node: Node, input: number, reader: number, outputs: number, factor: number, root: Scope) {
  const name = node.inputs[input] ?? '';
  const view = name === '' ? undefined : root.resolve(name);
  if (view === undefined || view.isTransposed || factor === 0) return undefined;
  const { tensor, isInput } = view.constant;
  const isVector = tensor.dims.length === 1 && (tensor.dims[0] === outputs || tensor.dims[0] === 1);
  return tensor.type === 'float32' && isVector && !isInput ? { name, tensor, reader, input, factor } : undefined;
}

/** Biases that nothing reads any more go; whatever was unread before is not ours to remove. */
function withoutUnread(graph: Graph, before: Graph): Graph {
  const [now, then] = [valueUses(graph), valueUses(before)];
  return { ...graph, initializers: graph.initializers.filter(({ name }) => now.has(name) || !then.has(name)) };
}
