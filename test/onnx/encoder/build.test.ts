import { strict as assert } from 'node:assert';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import { buildEncoder, type EncoderTask, encoderInputs } from '../../../src/onnx/encoder/build.ts';
import { embed, feedsOf } from '../../../src/onnx/encoder/embed.ts';
import { type Encoder, openEncoder } from '../../../src/onnx/encoder/folder.ts';
import { OnnxError } from '../../../src/onnx/error.ts';
import { floatsOf } from '../../../src/onnx/floats.ts';
import type { Model, Tensor } from '../../../src/onnx/model.ts';
import { decodeModel } from '../../../src/onnx/proto/decode.ts';
import { encodeModel } from '../../../src/onnx/proto/encode.ts';
import { saveModel } from '../../../src/onnx/proto/save-model.ts';
import { quantizeDynamic } from '../../../src/onnx/quantize/dynamic.ts';
import { type CheckpointOptions, type Family, writeCheckpoint } from './checkpoints.ts';

const families = ['bert', 'roberta', 'distilbert'] as const;
const texts = [
  'The weather is lovely today.',
  'He drove to the stadium',
  '',
  '日本語 мир ü 🤖',
  'a b c d e f g h i j k',
];
const mean = { kind: 'embedding', pooling: 'mean', normalize: true } as const;

describe('onnx/encoder', () => {
  let root: string;
  let count = 0;
  const opened: Encoder[] = [];
  const sessions: ort.InferenceSession[] = [];
  before(() => {
    root = mkdtempSync(join(tmpdir(), 'goto3-encoder-'));
  });
  afterEach(async () => {
    for (const encoder of opened.splice(0)) encoder.close();
    for (const session of sessions.splice(0)) await session.release();
  });
  after(() => rmSync(root, { recursive: true }));

  const checkpoint = async (family: Family, options: CheckpointOptions = {}): Promise<Encoder> => {
    const folder = join(root, `${family}-${count++}`);
    await writeCheckpoint(folder, family, options);
    const encoder = openEncoder(folder);
    opened.push(encoder);
    return encoder;
  };
  const sessionOf = async (model: Model): Promise<ort.InferenceSession> => {
    const session = await ort.InferenceSession.create(encodeModel(model), {
      intraOpNumThreads: 1,
      logSeverityLevel: 3,
    });
    sessions.push(session);
    return session;
  };
  const run = async (
    encoder: Encoder,
    task: EncoderTask,
    list = texts,
  ): Promise<{ data: Float32Array; dims: readonly number[] }> => {
    const session = await sessionOf(buildEncoder(encoder, task));
    const feeds = feedsOf(
      list.map((text) => encoder.tokenizer.encode(text)),
      encoder.tokenizer.padTokenId,
    );
    const output = Object.values(await session.run(feeds))[0]!;
    return { data: output.data as Float32Array, dims: output.dims };
  };
  const distance = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
    assert.equal(a.length, b.length);
    return Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
  };

  for (const family of families) {
    it(`${family}: padding and neighbours change no embedding, texts come back in order`, async () => {
      const encoder = await checkpoint(family);
      const session = await sessionOf(buildEncoder(encoder, mean));
      const together = await embed(session, encoder.tokenizer, texts);
      const inPairs = await embed(session, encoder.tokenizer, texts, { maxBatchTokens: 20 });
      for (const [i, text] of texts.entries()) {
        const [alone] = await embed(session, encoder.tokenizer, [text]);
        assert.ok(distance(alone!, together[i]!) < 1e-5);
        assert.ok(distance(alone!, inPairs[i]!) < 1e-5);
        const length = Math.hypot(...alone!);
        assert.ok(Math.abs(length - 1) < 1e-5, `length ${length}`);
      }
      assert.ok(distance(together[0]!, together[1]!) > 0.01, 'different texts, one embedding');
    });

    it(`${family}: the engine fuses Gelu and LayerNormalization`, async () => {
      const model = buildEncoder(await checkpoint(family), mean);
      const path = join(root, `${family}-optimized.onnx`);
      const options = { graphOptimizationLevel: 'extended', optimizedModelFilePath: path } as const;
      const session = await ort.InferenceSession.create(encodeModel(model), options);
      await session.release();
      const kinds = decodeModel(readFileSync(path)).graph.nodes.map(({ opType }) => opType);
      const times = (kind: string): number => kinds.filter((other) => other === kind).length;
      assert.equal(times('BiasGelu'), 2);
      assert.equal(times('Erf'), 0);
      // RoBERTa's positions have a batch dimension, so the sum of its embeddings is fused as well.
      assert.equal(times('SkipLayerNormalization'), family === 'roberta' ? 5 : 4);
    });

    it(`${family}: tokens, pooling and head fit together`, async () => {
      const encoder = await checkpoint(family, { labels: 3 });
      assert.deepEqual(encoder.config.labels, ['class 0', 'class 1', 'class 2']);
      const tokens = await run(encoder, { kind: 'tokens' });
      const [batch, sequence, width] = tokens.dims as [number, number, number];
      assert.deepEqual([batch, width], [texts.length, 32]);
      const first = await run(encoder, { kind: 'embedding', pooling: 'cls', normalize: false });
      for (let row = 0; row < batch; row++) {
        const start = row * sequence * width;
        assert.ok(
          distance(tokens.data.subarray(start, start + width), first.data.subarray(row * width, (row + 1) * width)) <
            1e-6,
        );
      }
      const logits = await run(encoder, { kind: 'classes', output: 'logits' });
      const { data } = await run(encoder, { kind: 'classes', output: 'probabilities' });
      assert.deepEqual(logits.dims, [texts.length, 3]);
      for (let row = 0; row < batch; row++) {
        const exps = [...logits.data.subarray(row * 3, row * 3 + 3)].map(Math.exp);
        const sum = exps.reduce((a, b) => a + b);
        assert.ok(
          distance(
            exps.map((value) => value / sum),
            data.subarray(row * 3, row * 3 + 3),
          ) < 1e-5,
        );
      }
    });
  }

  it('answers the same from a checkpoint with prefix and old names, and from bfloat16 within its rounding', async () => {
    const plain = await checkpoint('bert');
    const renamed = await checkpoint('bert', {
      change: (tensors) =>
        tensors.map((tensor) => ({
          ...tensor,
          name: `bert.${tensor.name.replace('LayerNorm.weight', 'LayerNorm.gamma').replace('LayerNorm.bias', 'LayerNorm.beta')}`,
        })),
    });
    const brain = await checkpoint('bert', { change: (tensors) => tensors.map(toBrainFloat) });
    const expected = (await run(plain, mean)).data;
    assert.equal(distance((await run(renamed, mean)).data, expected), 0);
    const off = distance((await run(brain, mean)).data, expected);
    assert.ok(off > 0 && off < 0.05, `bfloat16 is ${off} off`);
  });

  it('takes token types as an input when asked to', async () => {
    const encoder = await checkpoint('bert');
    const plain = await sessionOf(buildEncoder(encoder, mean));
    const typed = await sessionOf(buildEncoder(encoder, mean, { tokenTypes: true }));
    const feeds = feedsOf([encoder.tokenizer.encode(texts[0]!)], 0);
    const { dims, data } = feeds[encoderInputs.ids]!;
    const types = (value: bigint): ort.Tensor =>
      new ort.Tensor('int64', new BigInt64Array(data.length).fill(value), dims);
    const expected = Object.values(await plain.run(feeds))[0]!.data as Float32Array;
    const answer = async (value: bigint): Promise<Float32Array> =>
      Object.values(await typed.run({ ...feeds, [encoderInputs.tokenTypes]: types(value) }))[0]!.data as Float32Array;
    assert.ok(distance(await answer(0n), expected) < 1e-5);
    assert.ok(distance(await answer(1n), expected) > 1e-3);
    const distil = await checkpoint('distilbert');
    assert.throws(() => buildEncoder(distil, mean, { tokenTypes: true }), /distilbert has no token types/);
  });

  it('names nodes by the part of the network that they belong to, and leaves weights on the disk', async () => {
    const model = buildEncoder(await checkpoint('bert'), mean);
    const names = model.graph.nodes.map(({ name }) => name);
    for (const name of [
      'encoder.layer.0.attention.self.query/MatMul_0',
      'encoder.layer.1.output.dense/MatMul_0',
      'embeddings/Gather_0',
    ]) {
      assert.ok(names.includes(name), name);
    }
    assert.ok(
      model.graph.initializers.filter(({ dims }) => dims.length === 2).every(({ stored }) => stored !== undefined),
    );
    await saveModel(model, join(root, 'saved.onnx'), { durability: 'fast' });
    assert.deepEqual(new Uint8Array(readFileSync(join(root, 'saved.onnx'))), encodeModel(model));
  });

  it('becomes int8 and stays close', async () => {
    const encoder = await checkpoint('bert', { hidden: 64 });
    const { model, report } = quantizeDynamic(buildEncoder(encoder, mean), { perChannel: true, reduceRange: true });
    assert.ok(report.weights.length >= 13, `${report.weights.length} weights`);
    const session = await sessionOf(model);
    const exact = await sessionOf(buildEncoder(encoder, mean));
    const [small, large] = await Promise.all([session, exact].map((one) => embed(one, encoder.tokenizer, texts)));
    for (const [i, vector] of small!.entries()) {
      const cosine = vector.reduce((sum, value, j) => sum + value * large![i]![j]!, 0);
      assert.ok(cosine > 0.97, `cosine ${cosine}`);
    }
  });

  it('computes the other activations', async () => {
    const results = [];
    for (const activation of ['gelu', 'gelu_new', 'relu']) {
      results.push((await run(await checkpoint('bert', { activation }), mean)).data);
    }
    // The tanh form is an approximation of the exact one, to about 1e-3; relu is another function.
    const tanh = distance(results[0]!, results[1]!);
    assert.ok(tanh > 0 && tanh < 1e-2, `gelu_new is ${tanh} off`);
    assert.ok(distance(results[0]!, results[2]!) > 1e-2);
  });

  it('refuses a checkpoint that does not fit its configuration', async () => {
    const refuse = async (change: CheckpointOptions['change'], message: RegExp): Promise<void> => {
      const encoder = await checkpoint('bert', { labels: 2, ...(change ? { change } : {}) });
      assert.throws(
        () => buildEncoder(encoder, { kind: 'classes', output: 'logits' }),
        (error) => error instanceof OnnxError && message.test(error.message),
        message.source,
      );
    };
    const without = (name: string) => (tensors: Tensor[]) => tensors.filter((tensor) => tensor.name !== name);
    await refuse(
      without('bert.embeddings.word_embeddings.weight'),
      /no tensor "bert.embeddings.word_embeddings.weight"/,
    );
    await refuse(without('classifier.bias'), /no tensor "classifier.bias"/);
    await refuse(
      (tensors) => tensors.map((tensor) => (tensor.name === 'classifier.bias' ? { ...tensor, dims: [1, 2] } : tensor)),
      /"classifier.bias" is \[1, 2\], the configuration says \[2\]/,
    );
    await refuse(
      (tensors) => tensors.map((tensor) => (tensor.name === 'classifier.bias' ? { ...tensor, type: 'int32' } : tensor)),
      /"classifier.bias" is int32/,
    );
    const bare = await checkpoint('bert');
    assert.throws(() => buildEncoder(bare, { kind: 'classes', output: 'logits' }), /no classification head/);
  });
});

function toBrainFloat(tensor: Tensor): Tensor {
  const bits = new Uint32Array(floatsOf(tensor).slice().buffer);
  const halves = Uint16Array.from(bits, (value) => (value + 0x8000) >>> 16);
  return { ...tensor, type: 'bfloat16', bytes: new Uint8Array(halves.buffer) };
}
