import type { Tensor } from '../model.ts';
import { quantizeSymmetric } from './scale.ts';
import { simdModule } from './simd-module.ts';
import { floatBytesOf, magnitudeBits, withoutSign } from './weight-values.ts';

/** What was lost, summed up over a weight. */
export interface LossSums {
  maxAbs: number;
  signal: number;
  noise: number;
}

/**
 * The two loops over a matrix [rows, columns] whose channels are its columns, or which has one (`scales` of length 1):
 * largest magnitude of each channel, and quantization. Scales are positive float32, weights finite float32 as bytes: a weight
 * lies in its file wherever the bytes before it end, seldom where a `Float32Array` may begin, and a second copy of it would
 * cost more than its quantization.
 */
export interface WeightLoops {
  /** Raises `largest`, one value a channel. */
  largest(weights: Uint8Array, columns: number, largest: Float32Array): void;
  /** Fills `values` and adds to `loss`. */
  quantize(
    values: Int8Array,
    weights: Uint8Array,
    columns: number,
    scales: Float32Array,
    limit: number,
    loss: LossSums,
  ): void;
}

/** For widths that are no multiple of four, and the reference for the other one. */
export const plainLoops: WeightLoops = {
  largest(weights, columns, largest) {
    const magnitudes = magnitudeBits(floatsIn(weights));
    const most = magnitudeBits(largest);
    const step = most.length === 1 ? 0 : 1;
    for (let i = 0; i < magnitudes.length; ) {
      for (let c = 0; c < columns; c++, i++) {
        const magnitude = magnitudes[i]! & withoutSign;
        if (magnitude > most[c * step]!) most[c * step] = magnitude;
      }
    }
  },
  quantize(values, bytes, columns, scales, limit, loss) {
    const weights = floatsIn(bytes);
    const step = scales.length === 1 ? 0 : 1;
    let { maxAbs, signal, noise } = loss;
    for (let i = 0; i < weights.length; ) {
      for (let c = 0; c < columns; c++, i++) {
        const weight = weights[i]!;
        const scale = scales[c * step]!;
        const quantized = quantizeSymmetric(weight, scale, limit);
        values[i] = quantized;
        const difference = weight - scale * quantized;
        const distance = Math.abs(difference);
        if (distance > maxAbs) maxAbs = distance;
        signal += weight * weight;
        noise += difference * difference;
      }
    }
    Object.assign(loss, { maxAbs, signal, noise });
  },
};

/** Floats that are in the vector loops' memory at a time: they stay in the second-level cache. */
const window = 32_768;
/** Channels that they have room for; wider matrices take the plain loops. */
const mostChannels = 32_768;
const at = { weights: 0, channels: 4 * window, out: 4 * (window + mostChannels), loss: 5 * window + 4 * mostChannels };
const pages = Math.ceil((at.loss + 48) / 65_536);

interface Exports {
  memory: { buffer: ArrayBuffer };
  largest(weights: number, most: number, count: number, stride: number): void;
  quantize(
    weights: number,
    scales: number,
    out: number,
    count: number,
    stride: number,
    limit: number,
    loss: number,
  ): void;
}

/** Node has it; its types come with a browser's library, which we do not want. */
const { WebAssembly: engine } = globalThis as unknown as {
  WebAssembly?: {
    validate(code: Uint8Array): boolean;
    Module: new (code: Uint8Array) => object;
    Instance: new (module: object) => { exports: unknown };
  };
};

/** The same loops with vectors of four; undefined where the engine has none. Widths must be multiples of four. */
export function makeVectorLoops(): WeightLoops | undefined {
  const code = simdModule(pages);
  if (!engine?.validate(code)) return undefined;
  const {
    memory,
    largest: largestOf,
    quantize: quantizeAll,
  } = new engine.Instance(new engine.Module(code)).exports as unknown as Exports;
  const weightsIn = new Uint8Array(memory.buffer, at.weights, 4 * window);
  const channelsIn = new Float32Array(memory.buffer, at.channels, mostChannels);
  const out = new Int8Array(memory.buffer, at.out, window);
  const lossIn = new Float64Array(memory.buffer, at.loss, 6);

  /** Whole rows at a time where channels are columns, else as much as fits. */
  const eachPart = (
    weights: Uint8Array,
    columns: number,
    channels: number,
    run: (start: number, count: number) => void,
  ): void => {
    const part = channels === 1 ? window : columns * Math.floor(window / columns);
    const whole = weights.length / 4;
    for (let start = 0; start < whole; start += part) {
      const count = Math.min(part, whole - start);
      weightsIn.set(weights.subarray(4 * start, 4 * (start + count)));
      run(start, count);
    }
  };
  const eachRow = (
    count: number,
    columns: number,
    channels: number,
    run: (offset: number, count: number, stride: number) => void,
  ): void => {
    if (channels === 1) run(0, count, 0);
    else for (let offset = 0; offset < count; offset += columns) run(offset, columns, 16);
  };
  return {
    largest(weights, columns, largest) {
      const channels = largest.length;
      if (channels === 1) channelsIn.fill(largest[0]!, 0, 4);
      else channelsIn.set(largest);
      eachPart(weights, columns, channels, (_, partCount) =>
        eachRow(partCount, columns, channels, (offset, count, stride) =>
          largestOf(at.weights + 4 * offset, at.channels, count, stride),
        ),
      );
      // Comparing numbers would lose a NaN.
      const bits = magnitudeBits(channelsIn);
      if (channels > 1) largest.set(channelsIn.subarray(0, channels));
      else magnitudeBits(largest)[0] = Math.max(bits[0]!, bits[1]!, bits[2]!, bits[3]!);
    },
    quantize(values, weights, columns, scales, limit, loss) {
      const channels = scales.length;
      if (channels === 1) channelsIn.fill(scales[0]!, 0, 4);
      else channelsIn.set(scales);
      lossIn.fill(0);
      eachPart(weights, columns, channels, (start, partCount) => {
        eachRow(partCount, columns, channels, (offset, count, stride) =>
          quantizeAll(at.weights + 4 * offset, at.channels, at.out + offset, count, stride, limit, at.loss),
        );
        values.set(out.subarray(0, partCount), start);
      });
      loss.maxAbs = Math.max(loss.maxAbs, lossIn[0]!, lossIn[1]!);
      loss.signal += lossIn[2]! + lossIn[3]!;
      loss.noise += lossIn[4]! + lossIn[5]!;
    },
  };
}

let vectorLoops: WeightLoops | null | undefined;

/** The fastest loops for matrices of this width and so many channels (1, or as many as columns). */
export function loopsFor(count: number, columns: number, channels: number): WeightLoops {
  const fits = channels === 1 ? count % 4 === 0 : columns % 4 === 0 && columns <= Math.min(window, mostChannels);
  if (!fits || count < 64) return plainLoops;
  vectorLoops ??= makeVectorLoops() ?? null;
  return vectorLoops ?? plainLoops;
}

/** Largest absolute value of a float32 or float16 tensor, 0 of nothing, not finite as soon as one element is not. */
export function largestMagnitude(tensor: Tensor): number {
  const bytes = floatBytesOf(tensor);
  const count = bytes.byteLength / 4;
  const largest = new Float32Array(1);
  loopsFor(count, count, 1).largest(bytes, count, largest);
  return largest[0]!;
}

/** A view where the bytes are aligned, else a copy. */
export function floatsIn(bytes: Uint8Array): Float32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4);
}
