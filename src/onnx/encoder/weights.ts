import { OnnxError } from '../error.ts';
import { floatsOf } from '../floats.ts';
import type { Tensor } from '../model.ts';
import { storedTensor } from '../tensor.ts';

/**
 * A checkpoint's parameters as float32 tensors that are converted (from float16, bfloat16) and turned round when somebody
 * asks for them, so that building a model copies none. Throws `OnnxError` for a parameter that is missing or has another
 * shape than the configuration says.
 */
export class EncoderWeights {
  private readonly tensors: ReadonlyMap<string, Tensor>;
  private readonly prefix: string;

  /** Checkpoints of a bare encoder leave the family's prefix (`bert.`) out, those with a head have it. */
  constructor(tensors: ReadonlyMap<string, Tensor>, prefix: string) {
    this.tensors = tensors;
    this.prefix = [...tensors.keys()].some((name) => name.startsWith(prefix)) ? prefix : '';
  }

  /** A parameter of the encoder by its name without prefix, with the checkpoint's shape. */
  table(name: string, dims: readonly number[]): Tensor {
    return this.derived(name, this.find(this.prefix + name, dims), dims, floatsOf);
  }

  /** The `.bias` (or, of old LayerNorms, `.beta`) of a layer. */
  bias(layer: string, size: number): Tensor {
    return this.vector(`${this.prefix}${layer}`, ['bias', 'beta'], size);
  }

  /** The `.weight` (or, of old LayerNorms, `.gamma`) of a LayerNorm. */
  scale(layer: string, size: number): Tensor {
    return this.vector(`${this.prefix}${layer}`, ['weight', 'gamma'], size);
  }

  /** The `.weight` of a linear layer: [outputs, inputs] in the file, [inputs, outputs] here, as MatMul wants it. */
  matrix(layer: string, inputs: number, outputs: number): Tensor {
    return this.transposed(`${this.prefix}${layer}.weight`, inputs, outputs);
  }

  /** The same of a head, whose full name is given: a matrix and its bias. */
  head(layer: string, inputs: number, outputs: number): { matrix: Tensor; bias: Tensor } {
    // A bare bert checkpoint keeps its pooler without prefix.
    const full = this.prefix === '' ? layer.replace(/^bert\./, '') : layer;
    return { matrix: this.transposed(`${full}.weight`, inputs, outputs), bias: this.vector(full, ['bias'], outputs) };
  }

  private transposed(name: string, inputs: number, outputs: number): Tensor {
    const tensor = this.find(name, [outputs, inputs]);
    return this.derived(name, tensor, [inputs, outputs], (source) => transpose(floatsOf(source), outputs, inputs));
  }

  private vector(layer: string, names: readonly string[], size: number): Tensor {
    const name = names.map((last) => `${layer}.${last}`).find((candidate) => this.tensors.has(candidate));
    const full = name ?? `${layer}.${names[0]}`;
    return this.derived(full, this.find(full, [size]), [size], floatsOf);
  }

  private derived(
    name: string,
    source: Tensor,
    dims: readonly number[],
    make: (source: Tensor) => Float32Array,
  ): Tensor {
    return storedTensor(name, 'float32', dims, () => {
      const values = make(source);
      return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    });
  }

  private find(name: string, dims: readonly number[]): Tensor {
    const tensor = this.tensors.get(name);
    if (tensor === undefined) throw new OnnxError(`checkpoint: it has no tensor "${name}"`);
    if (tensor.dims.join() !== dims.join()) {
      throw new OnnxError(
        `checkpoint: tensor "${name}" is [${tensor.dims.join(', ')}], the configuration says [${dims.join(', ')}]`,
      );
    }
    if (tensor.type !== 'float32' && tensor.type !== 'float16' && tensor.type !== 'bfloat16') {
      throw new OnnxError(`checkpoint: tensor "${name}" is ${tensor.type}, expected float32, float16 or bfloat16`);
    }
    return tensor;
  }
}

/** In blocks, so that both sides stay in the cache: three times as fast as row by row at 1536 × 384. */
function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const turned = new Float32Array(values.length);
  const block = 32;
  for (let top = 0; top < rows; top += block) {
    for (let left = 0; left < columns; left += block) {
      const bottom = Math.min(top + block, rows);
      const right = Math.min(left + block, columns);
      for (let row = top; row < bottom; row++) {
        for (let column = left; column < right; column++) turned[column * rows + row] = values[row * columns + column]!;
      }
    }
  }
  return turned;
}
