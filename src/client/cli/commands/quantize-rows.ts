import { createReadStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { Tensor } from 'onnxruntime-node';
import { type FeatureRow, ModelSignature, signatureFileName } from '../../../contracts/model.ts';
import type { DataType } from '../../../onnx/data-type.ts';
import { OnnxError } from '../../../onnx/error.ts';
import type { Model } from '../../../onnx/model.ts';
import { encodeFeatures } from '../../../serving/features/encode.ts';

/** A few rows in one run, and what is known about them. */
export interface Batch {
  readonly feeds: Readonly<Record<string, Tensor>>;
  readonly rows: number;
  /** Class by row, as written; undefined where the rows have none. */
  readonly labels: readonly (string | undefined)[];
}

/** Dynamic quantization looks at a whole batch, so rows of a run touch each other: few, as in serving. */
const rowsPerBatch = 16;
const mostRows = 100_000;

/**
 * Reads calibration rows. With a `signature.json` beside the model a line is a row of features (`{"features": {…},
 * "label": …}`, as data segments have them); else it has a value for each input of the graph, without the batch axis:
 * `{"x": [0.1, 0.2], "label": 1}`. Throws `OnnxError` that names the line.
 */
export async function readBatches(
  path: string,
  modelPath: string,
  model: Model,
): Promise<{ batches: Batch[]; signature: ModelSignature | undefined }> {
  const signature = await readSignature(modelPath);
  const rows = await readLines(path);
  if (rows.length === 0) throw new OnnxError(`${path}: expected a row a line, it has none`);
  const batches = signature ? featureBatches(rows, signature, path) : inputBatches(rows, model, path);
  return { batches, signature };
}

async function readSignature(modelPath: string): Promise<ModelSignature | undefined> {
  const path = join(dirname(modelPath), signatureFileName);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const parsed = ModelSignature.safeParse(JSON.parse(text));
  if (!parsed.success) throw new OnnxError(`${path}: ${parsed.error.issues[0]?.message}`);
  return parsed.data;
}

type Line = Readonly<Record<string, unknown>>;

async function readLines(path: string): Promise<Line[]> {
  const rows: Line[] = [];
  const file = createReadStream(path);
  // A stream that cannot be opened fails apart from the lines that it would have given.
  const failed = new Promise<never>((_, reject) => file.once('error', reject));
  failed.catch(() => {});
  const read = async (): Promise<Line[]> => {
    let number = 0;
    for await (const text of createInterface({ input: file, crlfDelay: Number.POSITIVE_INFINITY })) {
      number += 1;
      if (text.trim() === '') continue;
      if (rows.length >= mostRows) throw new OnnxError(`${path}: more than ${mostRows} rows; a few hundred are enough`);
      rows.push(objectOf(text, `${path}, line ${number}`));
    }
    return rows;
  };
  return await Promise.race([read(), failed]);
}

function objectOf(text: string, where: string): Line {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new OnnxError(`${where}: not JSON`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new OnnxError(`${where}: expected an object`);
  return value as Line;
}

function featureBatches(rows: readonly Line[], { preprocessing }: ModelSignature, path: string): Batch[] {
  const batches: Batch[] = [];
  for (let at = 0; at < rows.length; at += rowsPerBatch) {
    const some = rows.slice(at, at + rowsPerBatch);
    const features = some.map(
      (row) => (typeof row.features === 'object' && row.features !== null ? row.features : row) as FeatureRow,
    );
    const encoded = encodeFeatures(features, preprocessing);
    const feeds = Object.fromEntries(
      Object.entries(encoded).map(([name, { type, data, dims }]) => [name, new Tensor(type, data, dims) as Tensor]),
    );
    batches.push({ feeds, rows: some.length, labels: some.map(labelOf) });
  }
  if (batches.length === 0) throw new OnnxError(`${path}: no rows`);
  return batches;
}

/** Neighbours of the same shapes share a run, unless the model's batch is fixed. */
function inputBatches(rows: readonly Line[], { graph }: Model, path: string): Batch[] {
  const defaults = new Set(graph.initializers.map(({ name }) => name));
  const inputs = graph.inputs.filter(({ name }) => !defaults.has(name));
  const largest = inputs.some(({ dims }) => dims?.[0] === 1) ? 1 : rowsPerBatch;
  const batches: Batch[] = [];
  let open: { shape: string; values: FlatValue[][]; labels: (string | undefined)[] } | undefined;
  const close = (): void => {
    if (!open) return;
    const { values, labels } = open;
    const feeds = Object.fromEntries(
      inputs.map(({ name, type }, i) => [
        name,
        tensorOf(
          type,
          values.map((row) => row[i]!),
        ),
      ]),
    );
    batches.push({ feeds, rows: values.length, labels });
    open = undefined;
  };
  for (const [r, row] of rows.entries()) {
    const values = inputs.map(({ name }) => flatten(row[name], `${path}, row ${r + 1}: input "${name}"`));
    const shape = JSON.stringify(values.map(({ dims }) => dims));
    if (open && (open.shape !== shape || open.values.length >= largest)) close();
    open ??= { shape, values: [], labels: [] };
    open.values.push(values);
    open.labels.push(labelOf(row));
  }
  close();
  return batches;
}

const labelOf = ({ label }: Line): string | undefined =>
  label === undefined || label === null ? undefined : String(label);

interface FlatValue {
  readonly dims: readonly number[];
  readonly numbers: readonly (number | boolean)[];
}

function flatten(value: unknown, where: string): FlatValue {
  if (typeof value === 'number' || typeof value === 'boolean') return { dims: [], numbers: [value] };
  if (!Array.isArray(value)) throw new OnnxError(`${where}: expected a number or nested lists of numbers`);
  const parts = value.map((part) => flatten(part, where));
  const dims = parts[0]?.dims ?? [];
  if (parts.some((part) => part.dims.join() !== dims.join()))
    throw new OnnxError(`${where}: its lists differ in length`);
  return { dims: [parts.length, ...dims], numbers: parts.flatMap(({ numbers }) => numbers) };
}

function tensorOf(type: DataType | undefined, rows: readonly FlatValue[]): Tensor {
  const dims = [rows.length, ...rows[0]!.dims];
  const numbers = rows.flatMap((row) => row.numbers.map(Number));
  switch (type) {
    case 'int64':
      return new Tensor('int64', BigInt64Array.from(numbers, BigInt), dims);
    case 'int32':
      return new Tensor('int32', Int32Array.from(numbers), dims);
    case 'bool':
      return new Tensor('bool', Uint8Array.from(numbers), dims);
    case 'float32':
      return new Tensor('float32', Float32Array.from(numbers), dims);
    default:
      throw new OnnxError(
        `calibration rows: inputs of type ${type ?? 'unknown'} cannot be fed, expected float32, int32, int64 or bool`,
      );
  }
}
