import type { FeatureRow } from '../../contracts/model.ts';
import { loadPredictor, type Predictor } from '../../serving/predictor.ts';
import { endWithParent } from '../../serving/program.ts';
import { summariseLatencies } from '../../serving/scoring/latency.ts';

export interface LatencyTask {
  /** Absolute folders of the two models. */
  folders: [ours: string, theirs: string];
  rows: FeatureRow[];
  blocks: number;
  rowsPerBlock: number;
}

export type LatencyAnswer =
  /** One a block: its quantiles for both, in milliseconds. */
  | { block: { p50: [number, number]; p95: [number, number]; p99: [number, number] } }
  | { done: true }
  | { error: string };

/** Two models in one process, so that whatever else the machine does, it does to both. */
process.once('message', (task: LatencyTask) => {
  takeTurns(task)
    .then((): LatencyAnswer => ({ done: true }))
    .catch((error: Error): LatencyAnswer => ({ error: error.message }))
    .then((answer) => process.send!(answer, () => process.exit(0)))
    .catch(() => process.exit(1));
});
endWithParent();

async function takeTurns({ folders, rows, blocks, rowsPerBlock }: LatencyTask): Promise<void> {
  const models = [await loadPredictor(folders[0]), await loadPredictor(folders[1])] as const;
  const rowOf = (n: number): FeatureRow => rows[n % rows.length]!;
  for (let n = 0; n < 20; n += 1) for (const model of models) await model.predict([rowOf(n)]);
  let n = 0;
  for (let block = 0; block < blocks; block += 1) {
    const latencies: [number[], number[]] = [[], []];
    for (const end = n + rowsPerBlock; n < end; n += 1)
      // Whoever goes first finds the caches as the other left them, so they change places.
      for (const which of n % 2 === 0 ? ([0, 1] as const) : ([1, 0] as const))
        latencies[which].push(await timeOf(models[which], rowOf(n)));
    const [ours, theirs] = [summariseLatencies(latencies[0]), summariseLatencies(latencies[1])];
    const answer: LatencyAnswer = {
      block: {
        p50: [ours.p50Ms, theirs.p50Ms],
        p95: [ours.p95Ms, theirs.p95Ms],
        p99: [ours.p99Ms, theirs.p99Ms],
      },
    };
    process.send!(answer);
  }
}

async function timeOf(model: Predictor, row: FeatureRow): Promise<number> {
  const startedAt = performance.now();
  await model.predict([row]);
  return performance.now() - startedAt;
}
