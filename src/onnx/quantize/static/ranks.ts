import { intAttribute } from '../../attribute.ts';
import type { Graph, Node } from '../../model.ts';

/**
 * The number of dimensions of every value for which it follows from the graph inputs, the exporter's notes and the
 * operators that usually stand between them and a dense layer.
 */
export function inferRanks(graph: Graph): ReadonlyMap<string, number> {
  const ranks = new Map<string, number>();
  for (const { name, dims } of [...graph.inputs, ...graph.valueInfo, ...graph.outputs]) {
    if (dims !== undefined) ranks.set(name, dims.length);
  }
  for (const { name, dims } of graph.initializers) ranks.set(name, dims.length);
  const lengths = new Map(graph.initializers.map(({ name, dims }) => [name, dims.length === 1 ? dims[0]! : undefined]));
  for (const node of graph.nodes) {
    const rank = node.domain === '' ? outputRank(node, ranks, lengths) : undefined;
    const [output] = node.outputs;
    if (rank !== undefined && output !== undefined && !ranks.has(output)) ranks.set(output, rank);
  }
  return ranks;
}

const sameAsFirst: ReadonlySet<string> = new Set([
  ...[
    'Relu',
    'Clip',
    'Sigmoid',
    'Tanh',
    'Gelu',
    'Erf',
    'LeakyRelu',
    'Elu',
    'Selu',
    'HardSwish',
    'HardSigmoid',
    'Softplus',
  ],
  ...['Neg', 'Exp', 'Log', 'Sqrt', 'Abs', 'Cast', 'Identity', 'Dropout', 'Softmax', 'LogSoftmax', 'PRelu'],
  ...[
    'LayerNormalization',
    'BatchNormalization',
    'Conv',
    'MaxPool',
    'AveragePool',
    'GlobalAveragePool',
    'GlobalMaxPool',
  ],
  ...['Slice', 'Transpose', 'Pad', 'Concat'],
]);
const broadcasting: ReadonlySet<string> = new Set(['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Min', 'Max', 'Where']);

function outputRank(
  node: Node,
  ranks: ReadonlyMap<string, number>,
  lengths: ReadonlyMap<string, number | undefined>,
): number | undefined {
  const { opType, inputs } = node;
  const of = (i: number): number | undefined => ranks.get(inputs[i] ?? '');
  if (opType === 'Gemm' || opType === 'Flatten') return 2;
  if (opType === 'Reshape') return lengths.get(inputs[1]!);
  if (sameAsFirst.has(opType)) return of(0);
  const [first, second] = [of(0), of(1)];
  if (broadcasting.has(opType)) {
    const all = inputs.map((_, i) => of(i));
    return all.every((rank) => rank !== undefined) ? Math.max(...all) : undefined;
  }
  if (first === undefined) return undefined;
  if (opType === 'MatMul')
    return second === undefined || Math.min(first, second) < 2 ? undefined : Math.max(first, second);
  if (opType === 'Gather') return second === undefined ? undefined : first + second - 1;
  const axes = lengths.get(inputs[1] ?? '') ?? listLength(node, 'axes');
  if (axes === undefined) return undefined;
  if (opType === 'Squeeze') return first - axes;
  if (opType === 'Unsqueeze') return first + axes;
  if (opType.startsWith('Reduce')) return intAttribute(node, 'keepdims', 1) === 1 ? first : first - axes;
  return undefined;
}

/** Axes were an attribute before they became an input (operator sets 13 and 18). */
function listLength(node: Node, name: string): number | undefined {
  const attribute = node.attributes.find((candidate) => candidate.name === name);
  return attribute?.type === 'ints' ? attribute.value.length : undefined;
}
