import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ModelSignature, modelFileName, signatureFileName } from '../../src/contracts/model.ts';
import { loadPredictor } from '../../src/serving/predictor.ts';
import { constantModel, linearModel, nanModel, numericGraph, numericSignature, writeModel } from './models.ts';

const isClose = (actual: number, expected: number): void =>
  assert.ok(Math.abs(actual - expected) < 1e-6, `${actual} ≈ ${expected}`);

describe('predictor', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'goto3-predictor-'));
  });
  afterEach(() => rm(folder, { recursive: true }));

  it('answers rows in order, and more rows than one run takes', async () => {
    const predictor = await loadPredictor(await writeModel(folder, linearModel({ wx: 2, wy: -1, bias: 0.5 })));
    const rows = Array.from({ length: 150 }, (_, index) => ({ x: (index - 75) / 10, y: index / 50 }));
    const predictions = await predictor.predict(rows);
    assert.equal(predictions.length, 150);
    for (const [index, { x, y }] of rows.entries()) {
      const expected = 1 / (1 + Math.exp(-(2 * x - y + 0.5)));
      isClose(predictions[index]!.score, expected);
      assert.equal(predictions[index]!.label, expected > 0.5 ? 'spam' : 'ham');
    }
    await predictor.close();
  });

  it('reads three classes and regression', async () => {
    const labels = ['a', 'b', 'c'];
    const three = numericGraph(
      (graph, input) => {
        const weights = graph.initializer('w', 'float32', [2, 3], new Float32Array([0, 1, 0, 0, 0, 1]));
        return graph.softmax(graph.gemm(input, weights));
      },
      { classes: 3 },
    );
    const classes: ModelSignature = { ...numericSignature, task: 'multiclass-classification', labels };
    const classifier = await loadPredictor(await writeModel(join(folder, 'three'), three, classes));
    const [b, c, a] = await classifier.predict([
      { x: 4, y: 0 },
      { x: 0, y: 4 },
      { x: -4, y: -4 },
    ]);
    assert.deepEqual([a!.label, b!.label, c!.label], labels);
    isClose(b!.score, Math.exp(4) / (Math.exp(4) + 2));

    const sum = numericGraph((graph, input) => graph.reduceSum(input, [1], { keepDims: true }), { classes: 1 });
    const regression: ModelSignature = { ...numericSignature, task: 'regression', labels: [] };
    const regressor = await loadPredictor(await writeModel(join(folder, 'sum'), sum, regression));
    assert.deepEqual(await regressor.predict([{ x: 1.5, y: 2 }]), [{ label: '3.5', score: 3.5 }]);
  });

  it('says what a row lacks, and that NaN is no answer', async () => {
    const predictor = await loadPredictor(await writeModel(folder, nanModel()));
    await assert.rejects(predictor.predict([{ x: 1 }]), { type: 'InvalidInput', message: /"y"/ });
    await assert.rejects(predictor.predict([{ x: 1, y: 'text' }]), { type: 'InvalidInput', message: /"y"/ });
    await assert.rejects(predictor.predict([{ x: -1, y: 1 }]), { type: 'PredictionFailed', message: /finite/ });
    assert.equal((await predictor.predict([{ x: 1, y: 1 }])).length, 1);
  });

  const good = constantModel(0.5);
  const otherOutput = numericGraph((graph, input) => graph.softmax(input), { output: 'logits' });
  const fixedBatch = numericGraph((graph, input) => graph.softmax(input), { batch: 1 });
  const threeClasses = numericGraph((graph, input) => graph.softmax(graph.concat([input, input], 1)), { classes: 4 });
  const text = { kind: 'hashed-text', features: ['t'], buckets: 64, maxTokens: 8, wordNgrams: 1, version: 1 };
  const bad: [name: string, model: Uint8Array, signature: unknown, message: RegExp][] = [
    ['an empty file', new Uint8Array(0), numericSignature, /model.onnx does not load/],
    ['an HTML error page', Buffer.from('<!DOCTYPE html><h1>404</h1>'), numericSignature, /model.onnx does not load/],
    ['a cut file', good.subarray(0, good.length - 20), numericSignature, /model.onnx does not load/],
    ['an output of another name', otherOutput, numericSignature, /no output "probabilities", it has "logits"/],
    ['a fixed batch size', fixedBatch, numericSignature, /expected float32\[2, 2\] for two rows/],
    ['more outputs than labels', threeClasses, numericSignature, /output "probabilities" is float32\[.*4\]/],
    ['another preprocessing', good, { ...numericSignature, preprocessing: text }, /graph input/],
    [
      'more features than inputs',
      good,
      { ...numericSignature, preprocessing: { kind: 'numeric', features: ['x', 'y', 'z'] } },
      /float32\[2, 3\]/,
    ],
    ['one label', good, { ...numericSignature, labels: ['ham'] }, /needs two labels/],
    ['a label twice', good, { ...numericSignature, labels: ['ham', 'ham'] }, /distinct/],
    [
      'a tokenizer of another version',
      good,
      { ...numericSignature, preprocessing: { ...text, version: 2 } },
      /version/,
    ],
    ['an unknown schema', good, { ...numericSignature, schema: 'other/v9' }, /schema/],
  ];
  for (const [name, model, signature, message] of bad) {
    it(`refuses ${name}`, async () => {
      await writeModel(folder, model, signature);
      await assert.rejects(loadPredictor(folder), { type: 'ModelNotServable', message });
    });
  }

  it('refuses missing files and a signature that is not JSON', async () => {
    await assert.rejects(loadPredictor(folder), { type: 'ModelNotServable', message: /signature.json: ENOENT/ });
    await writeFile(join(folder, signatureFileName), JSON.stringify(numericSignature));
    await assert.rejects(loadPredictor(folder), { type: 'ModelNotServable', message: /model.onnx: ENOENT/ });
    await writeFile(join(folder, modelFileName), good);
    await writeFile(join(folder, signatureFileName), '{"schema":');
    await assert.rejects(loadPredictor(folder), { type: 'ModelNotServable', message: /not JSON/ });
  });
});
