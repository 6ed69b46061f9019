import { InferenceSession, Tensor } from 'onnxruntime-node';

/**
 * Latency and throughput of some ONNX files on one thread, in turns, in a process of its own. argv: rows as JSON
 * (`{name: {type, dims, data}}` of one run) and how many of them a run holds, repeats, then name=path of each model.
 */
export interface LatencyOrder {
  feeds: Record<string, { type: 'int64' | 'int32'; dims: number[]; data: number[] }>;
  rows: number;
  runs: number;
  models: Record<string, string>;
}

process.once('message', (order: LatencyOrder) => {
  void measure(order).then((answer) => process.send!(answer, () => process.exit(0)));
});

/** Milliseconds of every run, by model; the models take turns, so that a busy moment of the machine meets all of them. */
async function measure({ feeds, runs, models }: LatencyOrder): Promise<Record<string, number[]>> {
  const tensors = Object.fromEntries(
    Object.entries(feeds).map(([name, { type, dims, data }]) => [
      name,
      type === 'int64'
        ? new Tensor('int64', BigInt64Array.from(data, BigInt), dims)
        : new Tensor('int32', Int32Array.from(data), dims),
    ]),
  );
  const sessions = new Map<string, InferenceSession>();
  for (const [name, path] of Object.entries(models)) {
    sessions.set(
      name,
      await InferenceSession.create(path, { intraOpNumThreads: 1, interOpNumThreads: 1, logSeverityLevel: 3 }),
    );
  }
  const times: Record<string, number[]> = Object.fromEntries([...sessions.keys()].map((name) => [name, []]));
  for (let run = -3; run < runs; run++) {
    for (const [name, session] of sessions) {
      const startedAt = performance.now();
      await session.run(tensors);
      if (run >= 0) times[name]!.push(performance.now() - startedAt);
    }
  }
  return times;
}
