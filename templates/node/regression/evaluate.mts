// Evaluation program: what an answer costs. Too low costs `tooLow` times as much as too high.
import { readFileSync, writeFileSync } from 'node:fs';
import { loadPredictor } from '../../../src/serving/predictor.ts';

const { SM_CHANNEL_MODEL: model, SM_CHANNEL_HOLDOUT: holdout, SM_OUTPUT_DATA_DIR: output, SM_HPS } = process.env;
const { tooLow } = JSON.parse(SM_HPS!) as { tooLow: string };
type Row = { id: string; label: string; features: Record<string, number> };
const lines = readFileSync(`${holdout}/rows.jsonl`, 'utf8').trim().split('\n');
const rows = lines.map((line) => JSON.parse(line) as Row);
const predictor = await loadPredictor(model!);
const answers = await predictor.predict(rows.map(({ features }) => features));
await predictor.close();
const cost = (error: number): number => (error > 0 ? error : -Number(tooLow) * error);
const outcomes = rows.map(({ id, label }, i) => ({ id, cost: cost(answers[i]!.score - Number(label)) }));
writeFileSync(`${output}/outcomes.jsonl`, outcomes.map((outcome) => `${JSON.stringify(outcome)}\n`).join(''));
