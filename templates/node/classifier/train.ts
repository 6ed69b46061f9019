// Training program: softmax regression on standardised columns, as an ONNX graph.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { GraphBuilder } from '../../../src/onnx/build/graph-builder.ts';
import { encodeModel } from '../../../src/onnx/proto/encode.ts';

const { SM_CHANNEL_TRAIN: train, SM_MODEL_DIR: folder, SM_HPS } = process.env;
const { epochs, rate } = JSON.parse(SM_HPS!) as { epochs: string; rate: string };
type Row = { label: string; features: Record<string, number> };
const lines = readdirSync(train!).flatMap((file) => readFileSync(`${train}/${file}`, 'utf8').split('\n'));
const rows = lines.filter(Boolean).map((line) => JSON.parse(line) as Row);
const features = Object.keys(rows[0]!.features).sort();
const labels = [...new Set(rows.map(({ label }) => label))].sort();

const mean = features.map((name) => rows.reduce((sum, row) => sum + row.features[name]!, 0) / rows.length);
const spread = features.map((name, f) =>
  Math.sqrt(rows.reduce((sum, row) => sum + (row.features[name]! - mean[f]!) ** 2, 0) / rows.length || 1),
);
const x = rows.map((row) => features.map((name, f) => (row.features[name]! - mean[f]!) / spread[f]!));
const weights = labels.map(() => features.map(() => 0));
const bias = labels.map(() => 0);
for (let epoch = 1; epoch <= Number(epochs); epoch++) {
  const step = weights.map((w) => w.map(() => 0));
  const biasStep = bias.map(() => 0);
  for (const [r, row] of rows.entries()) {
    const logits = weights.map((w, c) => w.reduce((sum, value, f) => sum + value * x[r]![f]!, bias[c]!));
    const highest = Math.max(...logits);
    const exps = logits.map((logit) => Math.exp(logit - highest));
    const total = exps.reduce((a, b) => a + b);
    for (let c = 0; c < labels.length; c++) {
      const error = Number(row.label === labels[c]) - exps[c]! / total;
      for (let f = 0; f < features.length; f++) step[c]![f]! += error * x[r]![f]!;
      biasStep[c]! += error;
    }
  }
  for (let c = 0; c < labels.length; c++) {
    for (let f = 0; f < features.length; f++) weights[c]![f]! += (Number(rate) * step[c]![f]!) / rows.length;
    bias[c]! += (Number(rate) * biasStep[c]!) / rows.length;
  }
  if (epoch % 20 === 0) console.log(JSON.stringify({ progress: epoch / Number(epochs) }));
}

// The graph takes columns as they are: means and spreads go into weights and biases.
const plain = Float32Array.from(features.flatMap((_, f) => labels.map((_l, c) => weights[c]![f]! / spread[f]!)));
const shifted = Float32Array.from(bias, (b, c) => weights[c]!.reduce((a, w, f) => a - (w * mean[f]!) / spread[f]!, b));
const graph = new GraphBuilder('classifier');
const input = graph.input('features', 'float32', ['batch', features.length]);
const w = graph.initializer('w', 'float32', [features.length, labels.length], plain);
const b = graph.initializer('b', 'float32', [labels.length], shifted);
graph.output('probabilities', graph.softmax(graph.gemm(input, w, b)), ['batch', labels.length]);
writeFileSync(`${folder}/model.onnx`, encodeModel(graph.toModel()));
const task = labels.length === 2 ? 'binary-classification' : 'multiclass-classification';
const signature = { schema: 'goto3/signature/v1', task, preprocessing: { kind: 'numeric', features }, labels };
writeFileSync(`${folder}/signature.json`, JSON.stringify({ ...signature, output: 'probabilities' }));
