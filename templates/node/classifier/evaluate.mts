// Evaluation program: what an answer costs. Missing the class `costly` costs `miss`, every other mistake 1.
import { readFileSync, writeFileSync } from 'node:fs';
import { loadPredictor } from '../../../src/serving/predictor.ts';

const { SM_CHANNEL_MODEL: model, SM_CHANNEL_HOLDOUT: holdout, SM_OUTPUT_DATA_DIR: output, SM_HPS } = process.env;
const { costly, miss } = JSON.parse(SM_HPS!) as { costly: string; miss: string };
type Row = { id: string; label: string; features: Record<string, number> };
const lines = readFileSync(`${holdout}/rows.jsonl`, 'utf8').trim().split('\n');
const rows = lines.map((line) => JSON.parse(line) as Row);
const predictor = await loadPredictor(model!);
const answers = await predictor.predict(rows.map(({ features }) => features));
await predictor.close();
const cost = (label: string, answer: string): number => (label === answer ? 0 : label === costly ? Number(miss) : 1);
const outcomes = rows.map(({ id, label }, i) => ({ id, cost: cost(label, answers[i]!.label) }));
writeFileSync(`${output}/outcomes.jsonl`, outcomes.map((outcome) => `${JSON.stringify(outcome)}\n`).join(''));
