import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { mailEnvironment } from '../../examples/spam-filter/environment.ts';
import type { MailRow } from '../../examples/spam-filter/mail.ts';
import { feedsOf } from '../../src/onnx/encoder/embed.ts';
import type { TextTokenizer } from '../../src/onnx/encoder/tokenizer.ts';
import { readCpuFeatures } from '../../src/onnx/quantize/cpu.ts';
import { instructionSetOf } from '../../src/onnx/quantize/instruction-set.ts';

/** The first tokens of subject and body, special ones included. */
export function tokensOf({ subject, body }: MailRow, tokenizer: TextTokenizer, length: number): number[] {
  const ids = tokenizer.encode(`${subject}\n${body}`);
  return ids.length <= length ? ids : [...ids.slice(0, length - 1), ids.at(-1)!];
}

/**
 * An embedding a row, float32[rows × width], each row in a run of its own, as an endpoint answers single requests.
 * Kept in the cache by what they depend on: model, tokens, engine and instructions.
 */
export async function embeddingsOf(model: Uint8Array, rows: readonly (readonly number[])[]): Promise<Float32Array> {
  const key = createHash('sha256')
    .update(model)
    .update(JSON.stringify([rows, ort.env.versions.node, instructionSetOf(await readCpuFeatures())]))
    .digest('hex');
  const folder = join(mailEnvironment().cacheFolder, '..', 'oracle-embeddings');
  const path = join(folder, `${key}.f32`);
  const known = await readFile(path).catch(() => undefined);
  if (known) return new Float32Array(new Uint8Array(known).buffer);
  const session = await ort.InferenceSession.create(model, {
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    extra: { session: { x64quantprecision: '1' } },
  });
  try {
    let all = new Float32Array(0);
    for (const [r, ids] of rows.entries()) {
      const { data } = Object.values(await session.run(feedsOf([ids], 0)))[0]!;
      const embedding = data as Float32Array;
      if (r === 0) all = new Float32Array(rows.length * embedding.length);
      all.set(embedding, r * embedding.length);
    }
    await mkdir(folder, { recursive: true });
    // Whole or not at all.
    await writeFile(`${path}.${process.pid}`, new Uint8Array(all.buffer));
    await rename(`${path}.${process.pid}`, path);
    return all;
  } finally {
    await session.release();
  }
}

/** A logistic regression: weights and, last, the bias. */
export type Head = Float64Array;

/** Logistic regression on rows of `width` by gradient descent with momentum; deterministic. */
export function trainHead(embeddings: Float32Array, isSpam: readonly boolean[], width: number): Head {
  const [epochs, rate, decay] = [400, 4, 1e-5];
  const head = new Float64Array(width + 1);
  const momentum = new Float64Array(width + 1);
  for (let epoch = 0; epoch < epochs; epoch++) {
    const gradient = new Float64Array(width + 1);
    for (const [r, label] of isSpam.entries()) {
      const difference = 1 / (1 + Math.exp(-logit(head, embeddings, r))) - Number(label);
      for (let c = 0; c < width; c++) gradient[c]! += difference * embeddings[r * width + c]!;
      gradient[width]! += difference;
    }
    for (let c = 0; c <= width; c++) {
      momentum[c] = 0.9 * momentum[c]! + gradient[c]! / isSpam.length + decay * head[c]!;
      head[c]! -= rate * momentum[c]!;
    }
  }
  return head;
}

export function logit(head: Head, embeddings: Float32Array, row: number): number {
  const width = head.length - 1;
  let sum = head[width]!;
  for (let c = 0; c < width; c++) sum += head[c]! * embeddings[row * width + c]!;
  return sum;
}
