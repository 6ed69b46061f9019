import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { ModelSignature, modelFileName, signatureFileName } from '../../src/contracts/model.ts';
import { decodeModel } from '../../src/onnx/proto/decode.ts';
import { valuesOf } from '../../src/onnx/tensor.ts';
import { dimsOf, type Shape, type Weights, weightNames } from './weights.ts';

/** A model to start from, or why it cannot be one. */
export type Base = { weights: Weights; digest: string } | { unusable: string };

/**
 * The weights of an earlier model of this recipe. It has to read its rows in the same way and know the same classes;
 * anything else (other buckets, a new label, int8 weights) is no error: training starts from scratch and says why.
 */
export async function readBase(folder: string, signature: ModelSignature, shape: Shape): Promise<Base> {
  const files = await readModelFolder(folder);
  if (typeof files === 'string') return { unusable: files };
  const known = ModelSignature.safeParse(files.signature);
  if (!known.success) return { unusable: `${signatureFileName} is not valid` };
  for (const field of ['task', 'preprocessing', 'labels', 'output'] as const)
    if (!isDeepStrictEqual(known.data[field], signature[field])) return { unusable: `another ${field}` };
  try {
    return { weights: weightsOf(files.model, shape), digest: createHash('sha256').update(files.model).digest('hex') };
  } catch (error) {
    return { unusable: error instanceof Error ? error.message : String(error) };
  }
}

async function readModelFolder(folder: string): Promise<{ model: Buffer; signature: unknown } | string> {
  try {
    const model = await readFile(join(folder, modelFileName));
    return { model, signature: JSON.parse(await readFile(join(folder, signatureFileName), 'utf8')) };
  } catch (error) {
    return error instanceof SyntaxError
      ? `${signatureFileName} is not JSON`
      : `the model folder is not readable: ${(error as NodeJS.ErrnoException).code ?? String(error)}`;
  }
}

function weightsOf(model: Uint8Array, shape: Shape): Weights {
  const initializers = new Map(decodeModel(model).graph.initializers.map((tensor) => [tensor.name, tensor]));
  const dims = dimsOf(shape);
  return Object.fromEntries(
    weightNames.map((name) => {
      const tensor = initializers.get(name);
      if (tensor === undefined) throw new Error(`no float32 weights "${name}"`);
      if (!isDeepStrictEqual([...tensor.dims], dims[name]))
        throw new Error(`"${name}" has shape [${tensor.dims.join(', ')}], expected [${dims[name].join(', ')}]`);
      return [name, Float32Array.from(valuesOf(tensor, 'float32'))];
    }),
  ) as Weights;
}
