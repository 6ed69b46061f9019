import { parentPort } from 'node:worker_threads';
import { toErrorMessage } from '../../errors.ts';
import type { InputRow } from '../../features/rows.ts';
import { loadPredictor, type Predictor } from '../../predictor.ts';
import type { FromLane, RunResult, ToInference } from './messages.ts';

/**
 * A thread that holds one session at a time and runs one batch at a time. Starting a thread costs more than loading a
 * small model, so it takes one model after the other; it ends with its process.
 */
const port = parentPort!;
let predictor: Predictor | undefined;

port.on('message', (message: ToInference) => {
  // Nothing below rejects but for a fault of ours; the process then ends, and the endpoint starts another one.
  void obey(message).then((answer) => port.postMessage(answer));
});

async function obey(message: ToInference): Promise<FromLane> {
  const { op, lane } = message;
  if (op === 'open') return open(lane, message.modelFolder);
  if (op === 'run') return { op: 'ran', lane, results: await runBatch(predictor!, message.requests) };
  await predictor?.close();
  predictor = undefined;
  return { op: 'closed', lane };
}

async function open(lane: number, modelFolder: string): Promise<FromLane> {
  try {
    predictor = await loadPredictor(modelFolder);
    return { op: 'opened', lane };
  } catch (error) {
    return { op: 'notOpened', lane, error: toErrorMessage(error) };
  }
}

/** All requests in one run; when that fails, each by itself, so that one caller's bad row fails nobody else. */
async function runBatch(model: Predictor, requests: InputRow[][]): Promise<RunResult[]> {
  try {
    const predictions = await model.predict(requests.flat());
    return requests.map((rows) => ({ predictions: predictions.splice(0, rows.length) }));
  } catch (error) {
    if (requests.length === 1) return [{ error: toErrorMessage(error) }];
    const results: RunResult[] = [];
    for (const rows of requests) results.push(...(await runBatch(model, [rows])));
    return results;
  }
}
