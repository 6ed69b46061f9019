import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { DataRow } from '../../src/activities/data/rows.ts';
import { linearModel, numericSignature } from '../serving/models.ts';

/** The training program of the end-to-end test: a line between the means of two classes, under the container contract. */
const { SM_CHANNEL_TRAIN: train, SM_MODEL_DIR: model, WAREHOUSE_TOKEN: token } = process.env;
if (!train || !model || !token) throw new Error('expected the container contract, and a token');

const sums = { ham: { n: 0, x: 0, y: 0 }, spam: { n: 0, x: 0, y: 0 } };
for (const file of readdirSync(train))
  for (const line of readFileSync(`${train}/${file}`, 'utf8').split('\n').filter(Boolean)) {
    const { label, features } = JSON.parse(line) as DataRow;
    const sum = sums[label as 'ham' | 'spam'];
    sum.n += 1;
    sum.x += Number(features.x);
    sum.y += Number(features.y);
  }
const mean = (label: 'ham' | 'spam', axis: 'x' | 'y'): number => sums[label][axis] / sums[label].n;
const [wx, wy] = [mean('spam', 'x') - mean('ham', 'x'), mean('spam', 'y') - mean('ham', 'y')];
const bias = -(wx * (mean('spam', 'x') + mean('ham', 'x')) + wy * (mean('spam', 'y') + mean('ham', 'y'))) / 2;
export const line = { wx, wy, bias };
console.log(JSON.stringify({ progress: 1, wx, wy, rows: sums.ham.n + sums.spam.n }));
writeFileSync(`${model}/model.onnx`, linearModel(line));
writeFileSync(`${model}/signature.json`, JSON.stringify(numericSignature));
