import { OnnxError } from '../../error.ts';
import type { Graph, Tensor, ValueInfo } from '../../model.ts';
import { checkTensor, tensorSize, valuesOf } from '../../tensor.ts';

/** One tensor per model input, by name; the rows of a batch lie along the first axis. */
export type CalibrationBatch = readonly Tensor[];
/** Read once, batch by batch. */
export type CalibrationBatches = Iterable<CalibrationBatch> | AsyncIterable<CalibrationBatch>;

/** Throws `OnnxError` unless the batch has exactly the model's inputs, in their types and shapes, finite, with a row or more. */
export function checkBatch(graph: Graph, batch: CalibrationBatch, where: string): void {
  const defaults = new Set(graph.initializers.map(({ name }) => name));
  const inputs = new Map(graph.inputs.map((input) => [input.name, input]));
  const given = new Set<string>();
  for (const tensor of batch) {
    const input = inputs.get(tensor.name);
    if (input === undefined) throw new OnnxError(`${where}: the model has no input "${tensor.name}"`);
    if (given.has(tensor.name)) throw new OnnxError(`${where}: input "${tensor.name}" occurs twice`);
    given.add(tensor.name);
    checkTensor(tensor, `${where}: input "${tensor.name}"`);
    checkAgainst(input, tensor, `${where}: input "${tensor.name}"`);
  }
  for (const name of inputs.keys()) {
    if (!given.has(name) && !defaults.has(name)) throw new OnnxError(`${where}: input "${name}" is missing`);
  }
}

function checkAgainst({ type, dims }: ValueInfo, tensor: Tensor, where: string): void {
  if (tensor.type === 'string') throw new OnnxError(`${where}: strings cannot be fed`);
  if (type !== undefined && tensor.type !== type)
    throw new OnnxError(`${where}: expected ${type}, it is ${tensor.type}`);
  const fits =
    dims === undefined ||
    (dims.length === tensor.dims.length &&
      dims.every((dim, axis) => typeof dim !== 'number' || dim === tensor.dims[axis]));
  if (!fits) {
    const [wanted, actual] = [dims, tensor.dims].map((shape) => `[${shape.map((dim) => dim ?? '?').join(', ')}]`);
    throw new OnnxError(`${where}: expected shape ${wanted}, it is ${actual}`);
  }
  if (tensorSize(tensor) === 0) throw new OnnxError(`${where}: it has no rows`);
  if (tensor.type !== 'float32') return;
  // The engine's ReduceMin and ReduceMax may pass over NaN.
  const values = valuesOf(tensor, 'float32');
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at !== -1) throw new OnnxError(`${where}: element ${at} is ${values[at]}`);
}

/** Rows of a batch: the first axis of its first tensor. */
export const rowsOf = (batch: CalibrationBatch): number => batch[0]?.dims[0] ?? 1;
