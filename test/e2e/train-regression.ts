import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { DataRow } from '../../src/activities/data/rows.ts';
import type { ModelSignature } from '../../src/contracts/model.ts';
import { numericGraph } from '../serving/models.ts';

/** A straight line through the rows by least squares, under the container contract. */
const { SM_CHANNEL_TRAIN: train, SM_MODEL_DIR: model } = process.env;
if (!train || !model) throw new Error('expected the container contract');

const rows = readdirSync(train).flatMap((file) =>
  readFileSync(`${train}/${file}`, 'utf8')
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as DataRow),
);
const mean = (of: (row: DataRow) => number): number => rows.reduce((sum, row) => sum + of(row), 0) / rows.length;
const [x, y] = [mean(({ features }) => Number(features.x)), mean(({ label }) => Number(label))];
const slope =
  mean(({ features, label }) => (Number(features.x) - x) * (Number(label) - y)) /
  mean(({ features }) => (Number(features.x) - x) ** 2);
console.log(JSON.stringify({ progress: 1, slope }));
const graph = numericGraph(
  (g, input) =>
    g.gemm(
      input,
      g.initializer('slope', 'float32', [2, 1], new Float32Array([slope, 0])),
      g.initializer('bias', 'float32', [1], new Float32Array([y - slope * x])),
    ),
  { output: 'value', classes: 1 },
);
const signature: ModelSignature = {
  schema: 'goto3/signature/v1',
  task: 'regression',
  preprocessing: { kind: 'numeric', features: ['x', 'y'] },
  labels: [],
  output: 'value',
};
writeFileSync(`${model}/model.onnx`, graph);
writeFileSync(`${model}/signature.json`, JSON.stringify(signature));
