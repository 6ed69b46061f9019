// Training program: ridge regression on standardised columns by coordinate descent, as an ONNX graph.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { GraphBuilder } from '../../../src/onnx/build/graph-builder.ts';
import { encodeModel } from '../../../src/onnx/proto/encode.ts';

const { SM_CHANNEL_TRAIN: train, SM_MODEL_DIR: folder, SM_HPS } = process.env;
const { alpha, sweeps } = JSON.parse(SM_HPS!) as { alpha: string; sweeps: string };
type Row = { label: string; features: Record<string, number> };
const lines = readdirSync(train!).flatMap((file) => readFileSync(`${train}/${file}`, 'utf8').split('\n'));
const rows = lines.filter(Boolean).map((line) => JSON.parse(line) as Row);
const features = Object.keys(rows[0]!.features).sort();
const average = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

const columns = features.map((name) => rows.map((row) => row.features[name]!));
const mean = columns.map(average);
const spread = columns.map((column, f) => Math.sqrt(average(column.map((value) => (value - mean[f]!) ** 2))) || 1);
const x = columns.map((column, f) => column.map((value) => (value - mean[f]!) / spread[f]!));
const target = average(rows.map(({ label }) => Number(label)));
const rest = rows.map(({ label }) => Number(label) - target);
const weights = features.map(() => 0);
for (let sweep = 1; sweep <= Number(sweeps); sweep++) {
  for (const [f, column] of x.entries()) {
    const pull = column.reduce((sum, value, r) => sum + value * rest[r]!, 0) - Number(alpha) * weights[f]!;
    const step = pull / (rows.length + Number(alpha));
    weights[f]! += step;
    for (let r = 0; r < rows.length; r++) rest[r]! -= step * column[r]!;
  }
  if (sweep % 20 === 0) console.log(JSON.stringify({ progress: sweep / Number(sweeps) }));
}

// The graph takes columns as they are: means and spreads go into weights and bias.
const plain = Float32Array.from(weights, (w, f) => w / spread[f]!);
const bias = weights.reduce((sum, w, f) => sum - (w * mean[f]!) / spread[f]!, target);
const graph = new GraphBuilder('regression');
const input = graph.input('features', 'float32', ['batch', features.length]);
const w = graph.initializer('w', 'float32', [features.length, 1], plain);
const b = graph.initializer('b', 'float32', [1], Float32Array.of(bias));
graph.output('value', graph.gemm(input, w, b), ['batch', 1]);
writeFileSync(`${folder}/model.onnx`, encodeModel(graph.toModel()));
const signature = { schema: 'goto3/signature/v1', task: 'regression', preprocessing: { kind: 'numeric', features } };
writeFileSync(`${folder}/signature.json`, JSON.stringify({ ...signature, labels: [], output: 'value' }));
