import * as ort from 'onnxruntime-node';
import type { Model } from '../../src/onnx/model.ts';
import { encodeModel } from '../../src/onnx/proto/encode.ts';

export type Feeds = Record<string, ort.Tensor>;

export const f32 = (dims: readonly number[], values: ArrayLike<number>): ort.Tensor =>
  new ort.Tensor('float32', Float32Array.from(values), dims);
export const i64 = (dims: readonly number[], values: readonly number[]): ort.Tensor =>
  new ort.Tensor('int64', BigInt64Array.from(values, BigInt), dims);

/** Float outputs of a run by name. */
export type Floats = Record<string, Float32Array>;

/** Opens the model in the real engine, one thread, and releases it after `use`. */
export async function withSession<T>(
  model: Model | Uint8Array,
  use: (run: (feeds: Feeds) => Promise<Floats>) => Promise<T>,
): Promise<T> {
  const bytes = model instanceof Uint8Array ? model : encodeModel(model);
  const session = await ort.InferenceSession.create(bytes, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  try {
    return await use(async (feeds) => {
      const outputs = await session.run(feeds);
      return Object.fromEntries(Object.entries(outputs).map(([name, { data }]) => [name, data as Float32Array]));
    });
  } finally {
    await session.release();
  }
}

export const runOnce = (model: Model | Uint8Array, feeds: Feeds): Promise<Floats> =>
  withSession(model, (run) => run(feeds));

/** mulberry32: a small seeded generator, so that every run of a test sees the same numbers. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Floats uniform in [-scale, scale). */
export function randomFloats(count: number, random: () => number, scale = 1): Float32Array {
  return Float32Array.from({ length: count }, () => (random() * 2 - 1) * scale);
}
