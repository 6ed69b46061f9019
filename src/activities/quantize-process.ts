import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { FeatureRow, ModelSignature } from '../contracts/model.ts';
import { encodeModel } from '../onnx/proto/encode.ts';
import { openModel } from '../onnx/proto/open-model.ts';
import { saveModel } from '../onnx/proto/save-model.ts';
import { quantizeDynamic } from '../onnx/quantize/dynamic.ts';
import { type LayerError, LayerErrors, sensitivityProbe } from '../onnx/quantize/sensitivity.ts';
import { encodeFeatures } from '../serving/features/encode.ts';
import { endWithParent } from '../serving/program.ts';

export type QuantizeTask =
  /** Writes the int8 model. Paths are absolute. */
  | { op: 'quantize'; input: string; output: string; reduceRange: boolean; smallest: number; exclude: string[] }
  /** Measures every layer on these rows. */
  | {
      op: 'rank';
      input: string;
      reduceRange: boolean;
      smallest: number;
      signature: ModelSignature;
      rows: FeatureRow[];
    };

export type QuantizeAnswer =
  /** Nodes that became int8, and those that stayed float. */
  | { op: 'quantized'; quantized: number; skipped: number; sizeBytes: number }
  | { op: 'ranked'; layers: LayerError[] }
  | { op: 'failed'; error: string; type: string | undefined };

/** A process of its own: heavy JavaScript never runs on the loop that beats, and a model's weights leave with it. */
process.once('message', (task: QuantizeTask) => {
  obey(task)
    .catch(
      (error: Error & { type?: string }): QuantizeAnswer => ({
        op: 'failed',
        error: error.message,
        type: error.type,
      }),
    )
    .then((answer) => process.send!(answer, () => process.exit(0)))
    .catch(() => process.exit(1));
});
endWithParent();

async function obey(task: QuantizeTask): Promise<QuantizeAnswer> {
  const opened = openModel(task.input);
  try {
    if (task.op === 'rank') return { op: 'ranked', layers: await rank(opened.model, task) };
    const { model, report } = quantizeDynamic(opened.model, {
      reduceRange: task.reduceRange,
      smallest: task.smallest,
      exclude: task.exclude,
    });
    // One file is what a model folder names; the scratch folder needs no fsync.
    const { sizeBytes } = await saveModel(model, task.output, { externalData: 'never', durability: 'fast' });
    const quantized = report.nodes.filter(({ outcome }) => outcome === 'quantized').length;
    return { op: 'quantized', quantized, skipped: report.nodes.length - quantized, sizeBytes };
  } finally {
    opened.close();
  }
}

/** As in serving: rows of a run touch each other through its one quantization range. */
const rowsPerRun = 64;

async function rank(
  model: ReturnType<typeof openModel>['model'],
  { rows, reduceRange, smallest, signature }: QuantizeTask & { op: 'rank' },
): Promise<LayerError[]> {
  const probe = sensitivityProbe(model, { reduceRange, smallest });
  const errors = new LayerErrors(probe);
  const sums = probe.sums.flatMap(({ signal, noise }) => [signal, noise]);
  const session = await InferenceSession.create(encodeModel(probe.model), {
    executionProviders: ['cpu'],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    logSeverityLevel: 4,
    extra: { session: { x64quantprecision: '1' } },
  });
  for (let start = 0; start < rows.length && sums.length > 0; start += rowsPerRun) {
    const encoded = Object.entries(encodeFeatures(rows.slice(start, start + rowsPerRun), signature.preprocessing));
    const feeds = Object.fromEntries(
      encoded.map(([name, { type, data, dims }]) => [name, new Tensor(type, data, dims) as Tensor]),
    );
    const outputs = await session.run(feeds, sums);
    errors.add((name) => outputs[name]!.data as Float32Array);
  }
  await session.release();
  return errors.ranked();
}
