import type { FeatureRow } from '../../contracts/model.ts';
import { toErrorMessage } from '../errors.ts';
import { loadPredictor, type Predictor } from '../predictor.ts';
import { endWithParent } from '../program.ts';
import type { FromScoring, ToScoring } from './messages.ts';

/** Scores rows for an evaluator in a process of its own: a model that crashes ONNX Runtime takes nothing else along. */
let predictor: Predictor;

process.on('message', (message) => {
  const failed = (error: unknown): FromScoring => ({ op: 'failed', error: toErrorMessage(error) });
  void obey(message as ToScoring)
    .catch(failed)
    .then((answer) => process.send!(answer));
});
endWithParent();

async function obey(message: ToScoring): Promise<FromScoring> {
  switch (message.op) {
    case 'load':
      predictor = await loadPredictor(message.modelFolder);
      return { op: 'loaded' };
    case 'score':
      return { op: 'scored', predictions: await predictor.predict(message.rows) };
    case 'time':
      return { op: 'timed', latenciesMs: await timeEach(message.rows) };
  }
}

async function timeEach(rows: FeatureRow[]): Promise<number[]> {
  const latenciesMs: number[] = [];
  for (const row of rows) {
    const startedAt = performance.now();
    await predictor.predict([row]);
    latenciesMs.push(performance.now() - startedAt);
  }
  return latenciesMs;
}
