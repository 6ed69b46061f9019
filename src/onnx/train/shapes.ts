import { intAttribute } from '../attribute.ts';
import type { Dim, Graph, Node, Tensor } from '../model.ts';
import { constantsOf, integersOf } from './constants.ts';

export type Dims = readonly Dim[];

/**
 * The shapes of a graph's values as far as they follow from its inputs, constants and declared values: a dimension is a
 * number, a symbol (equal symbols are equal sizes) or unknown; values of unknown rank are left out. Covers the operators
 * that can be differentiated and those that usually stand beside them.
 */
export function inferShapes(graph: Graph): ReadonlyMap<string, Dims> {
  const shapes = new Map<string, Dims>();
  const constants = constantsOf(graph);
  for (const [name, { dims }] of constants) shapes.set(name, dims);
  const declared = [...graph.inputs, ...graph.valueInfo, ...graph.outputs];
  const noted = new Map(declared.flatMap(({ name, dims }) => (dims === undefined ? [] : [[name, dims] as const])));
  for (const [name, dims] of noted) shapes.set(name, dims);
  for (const node of graph.nodes) {
    const outputs = outputShapes(node, shapes, constants);
    for (const [i, name] of node.outputs.entries()) {
      const dims = outputs[i];
      if (name !== '' && dims !== undefined && !shapes.has(name)) shapes.set(name, dims);
    }
  }
  return shapes;
}

/** The dimensions of two broadcast operands (numpy's rule). */
export function broadcast(a: Dims, b: Dims): Dims {
  const rank = Math.max(a.length, b.length);
  const at = (dims: Dims, i: number): Dim => (i < rank - dims.length ? 1 : dims[i - rank + dims.length]);
  return Array.from({ length: rank }, (_, i) => {
    const [x, y] = [at(a, i), at(b, i)];
    if (x === 1) return y;
    if (y === 1 || x === y) return x;
    // A size above 1 decides; of two unknown ones each may be 1.
    if (typeof x === 'number') return x;
    return typeof y === 'number' ? y : undefined;
  });
}

/** Axes as positions from the front. */
export const normalAxes = (axes: readonly number[], rank: number): number[] =>
  axes.map((axis) => (axis < 0 ? axis + rank : axis)).sort((a, b) => a - b);

const sameAsFirst: ReadonlySet<string> = new Set(
  'Relu Sigmoid Tanh Gelu Erf Neg Exp Log Sqrt Abs Cast Identity Dropout Softmax LogSoftmax Not CumSum Clip Floor Ceil Round Sign ScatterElements'.split(
    ' ',
  ),
);
const broadcasting: ReadonlySet<string> = new Set(
  'Add Sub Mul Div Pow Min Max Where Equal Greater Less GreaterOrEqual LessOrEqual And Or'.split(' '),
);

function outputShapes(
  node: Node,
  shapes: ReadonlyMap<string, Dims>,
  constants: ReadonlyMap<string, Tensor>,
): (Dims | undefined)[] {
  const { opType, inputs } = node;
  const of = (i: number): Dims | undefined => shapes.get(inputs[i] ?? '');
  const first = of(0);
  if (sameAsFirst.has(opType)) return [first];
  if (broadcasting.has(opType)) {
    const all = inputs.map((_, i) => of(i));
    return [all.reduce((a, b) => (a === undefined || b === undefined ? undefined : broadcast(a, b)))];
  }
  if (opType === 'Range') return [[undefined]];
  if (first === undefined) return [];
  const ints = (i: number): number[] | undefined => integersOf(constants.get(inputs[i] ?? ''));
  const second = of(1);
  switch (opType) {
    case 'LayerNormalization': {
      const axis = normalAxes([intAttribute(node, 'axis', -1)], first.length)[0]!;
      const means = first.map((dim, i) => (i < axis ? dim : 1));
      return [first, means, means];
    }
    case 'MatMul':
      return [second && matMulDims(first, second)];
    case 'Gemm':
      return [
        second && [
          first[intAttribute(node, 'transA', 0) === 1 ? 1 : 0],
          second[intAttribute(node, 'transB', 0) === 1 ? 0 : 1],
        ],
      ];
    case 'Shape':
      return [[first.length]];
    case 'Transpose': {
      const perm = permOf(node, first.length);
      return [perm.map((axis) => first[axis])];
    }
    case 'Gather': {
      const axis = normalAxes([intAttribute(node, 'axis', 0)], first.length)[0]!;
      return [second && [...first.slice(0, axis), ...second, ...first.slice(axis + 1)]];
    }
    case 'Reshape':
      return [reshaped(first, ints(1), second)];
    case 'Unsqueeze': {
      const axes = ints(1);
      if (axes === undefined) return [];
      const places = new Set(normalAxes(axes, first.length + axes.length));
      const rest = [...first];
      return [Array.from({ length: first.length + axes.length }, (_, i) => (places.has(i) ? 1 : rest.shift()))];
    }
    case 'Squeeze': {
      const axes = ints(1);
      if (axes === undefined) return inputs.length > 1 ? [] : [first.filter((dim) => dim !== 1)];
      const places = new Set(normalAxes(axes, first.length));
      return [first.filter((_, i) => !places.has(i))];
    }
    case 'ReduceSum':
    case 'ReduceMean':
    case 'ReduceL2':
    case 'ReduceMax':
    case 'ReduceMin': {
      const given = (inputs[1] ?? '') === '' ? [] : ints(1);
      if (given === undefined) return [];
      const axes = new Set(given.length === 0 ? first.keys() : normalAxes(given, first.length));
      const keeps = intAttribute(node, 'keepdims', 1) === 1;
      return [first.flatMap((dim, i): Dim[] => (axes.has(i) ? (keeps ? [1] : []) : [dim]))];
    }
    case 'Slice': {
      const given = (inputs[3] ?? '') === '' ? first.map((_, i) => i).slice(0, Number(second?.[0])) : ints(3);
      if (given === undefined) return [first.map(() => undefined)];
      const axes = new Set(normalAxes(given, first.length));
      return [first.map((dim, i) => (axes.has(i) ? undefined : dim))];
    }
    case 'Concat': {
      const axis = normalAxes([intAttribute(node, 'axis', 0)], first.length)[0]!;
      const parts = inputs.map((_, i) => of(i)?.[axis]);
      const isKnown = parts.every((dim) => typeof dim === 'number');
      const total = isKnown ? parts.reduce((sum: number, dim) => sum + (dim as number), 0) : undefined;
      return [first.map((dim, i) => (i === axis ? total : dim))];
    }
    case 'Expand':
      return [expandedDims(first, ints(1), second)];
    default:
      return [];
  }
}

/** The permutation of a Transpose; by default the reverse order. */
export function permOf(node: Node, rank: number): number[] {
  const perm = node.attributes.find(({ name }) => name === 'perm');
  if (perm?.type === 'ints') return perm.value.map(Number);
  return Array.from({ length: rank }, (_, i) => rank - 1 - i);
}

function matMulDims(a: Dims, b: Dims): Dims | undefined {
  if (a.length < 2 || b.length < 2) return undefined;
  return [...broadcast(a.slice(0, -2), b.slice(0, -2)), a.at(-2), b.at(-1)];
}

function reshaped(from: Dims, shape: number[] | undefined, shapeDims: Dims | undefined): Dims | undefined {
  if (shape === undefined) {
    const rank = shapeDims?.[0];
    return typeof rank === 'number' ? Array.from({ length: rank }, () => undefined) : undefined;
  }
  const dims: Dim[] = shape.map((size, i) => (size === 0 ? from[i] : size));
  const open = shape.indexOf(-1);
  if (open < 0) return dims;
  // What remains after equal dimensions cancel out; a number only when nothing unknown is left.
  const rest = [...from];
  let divisor = 1;
  for (const [i, dim] of dims.entries()) {
    if (i === open) continue;
    const same = dim === undefined ? -1 : rest.indexOf(dim);
    if (same >= 0) rest.splice(same, 1);
    else if (typeof dim === 'number') divisor *= dim;
    else divisor = Number.NaN;
  }
  const product = rest.reduce((value: number, dim) => value * (typeof dim === 'number' ? dim : Number.NaN), 1);
  const size = product / divisor;
  dims[open] = rest.length === 1 && divisor === 1 ? rest[0] : Number.isInteger(size) ? size : undefined;
  return dims;
}

function expandedDims(from: Dims, shape: number[] | undefined, shapeDims: Dims | undefined): Dims | undefined {
  if (shape !== undefined) return broadcast(from, shape);
  const rank = shapeDims?.[0];
  return typeof rank === 'number' ? Array.from({ length: Math.max(rank, from.length) }, () => undefined) : undefined;
}
