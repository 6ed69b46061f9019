import { InferenceSession, Tensor } from 'onnxruntime-node';
import { parsePoints } from '../../../contracts/units.ts';
import { OnnxError } from '../../../onnx/error.ts';
import type { Model } from '../../../onnx/model.ts';
import { encodeModel } from '../../../onnx/proto/encode.ts';
import { quantizeDynamic } from '../../../onnx/quantize/dynamic.ts';
import { paretoFront, searchFewestFloat, type TrialFigures } from '../../../onnx/quantize/search.ts';
import { type LayerError, LayerErrors, nodesKeptFloat, sensitivityProbe } from '../../../onnx/quantize/sensitivity.ts';
import type { QuantizeOptions } from './quantize.ts';
import type { SearchDocument } from './quantize-document.ts';
import { type ActivationHistogram, GrowingHistogram } from './quantize-histogram.ts';
import { type Answers, qualityOf, readAnswers } from './quantize-quality.ts';
import { type Batch, readBatches } from './quantize-rows.ts';
import { points } from './quantize-words.ts';

export interface Measured {
  readonly layers: readonly LayerError[];
  readonly search: SearchDocument;
  /** Nodes to exclude, so that the chosen layers stay float. */
  readonly keptFloat: readonly string[];
  readonly activations: readonly ActivationHistogram[];
}

interface Settings {
  readonly perChannel: boolean;
  readonly reduceRange: boolean;
  readonly smallest: number;
}

/** As our endpoint serves: one thread, and exact sums on every CPU. */
const sessionOptions: InferenceSession.SessionOptions = {
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  logSeverityLevel: 3,
  extra: { session: { x64quantprecision: '1' } },
};

/** Layers' errors, the loss against float, and with a margin the search for the fewest layers that stay float. */
export async function measure(
  path: string,
  float: Model,
  options: QuantizeOptions,
  settings: Settings,
  say: (text: string) => void,
): Promise<Measured> {
  const margin = options.margin === undefined ? null : parsePoints(options.margin);
  const { batches, signature } = await readBatches(options.calibration!, path, float);
  const rows = batches.reduce((sum, batch) => sum + batch.rows, 0);
  say(`${rows} rows; the float model answers them`);
  const outputName = signature?.output ?? float.graph.outputs[0]!.name;
  const reference = await answerAll(float, batches, outputName);
  const quality = qualityOf(reference.answers, batches, signature);

  say('measuring every layer');
  const { layers, activations } = await layerErrors(float, batches, settings, options);
  const always = options.exclude ?? [];
  const measureTrial = async (keptFloat: number): Promise<TrialFigures> => {
    const exclude = [...always, ...nodesKeptFloat(layers, keptFloat)];
    const { model } = quantizeDynamic(float, { ...settings, exclude });
    const { answers, sizeBytes, latencyMs } = await answerAll(model, batches, outputName);
    return { ...quality.compare(answers), sizeBytes, latencyMs };
  };
  const { chosen, holds, trials } = await searchFewestFloat({
    layers: layers.length,
    // Without a margin nothing is searched: everything becomes int8, and one trial says what that costs.
    maxTrials: margin === null ? 1 : options.maxTrials,
    margin: margin ?? Number.POSITIVE_INFINITY,
    before: [],
    measure: measureTrial,
    onTrial: async ({ keptFloat, lossUpper, holds: held }) =>
      say(
        `${keptFloat} of ${layers.length} layers in float: at most ${points(lossUpper)} lost${margin === null ? '' : held ? ', holds' : ', too much'}`,
      ),
  });
  const first = {
    quality: quality.float,
    loss: 0,
    lossUpper: 0,
    sizeBytes: reference.sizeBytes,
    latencyMs: reference.latencyMs,
  };
  const named = [{ name: 'float' as const, ...first }, ...trials.map((trial) => ({ name: trial.keptFloat, ...trial }))];
  return {
    layers,
    activations,
    keptFloat: nodesKeptFloat(layers, chosen.keptFloat),
    search: {
      rows,
      quality: quality.kind,
      margin,
      holds: margin === null ? null : holds,
      keptFloat: chosen.keptFloat,
      float: { quality: quality.float, sizeBytes: reference.sizeBytes, latencyMs: reference.latencyMs },
      trials,
      front: paretoFront(named).map(({ name }) => name),
    },
  };
}

async function layerErrors(
  float: Model,
  batches: readonly Batch[],
  settings: Settings,
  { exclude = [], report }: QuantizeOptions,
): Promise<{ layers: LayerError[]; activations: ActivationHistogram[] }> {
  const probe = sensitivityProbe(float, { ...settings, exclude, activations: report !== undefined });
  const errors = new LayerErrors(probe);
  const histograms = new Map(probe.activations.map(({ activation }) => [activation, new GrowingHistogram()]));
  await withSession(probe.model, async (session) => {
    for (const { feeds } of batches) {
      const outputs = await session.run(feeds, [
        ...probe.sums.flatMap(({ signal, noise }) => [signal, noise]),
        ...probe.activations.flatMap(({ output }) => (output === undefined ? [] : [output])),
      ]);
      errors.add((name) => outputs[name]!.data as Float32Array);
      for (const { activation, output } of probe.activations) {
        const tensor = output === undefined ? feeds[activation] : outputs[output];
        if (tensor?.type === 'float32') histograms.get(activation)!.add(tensor.data as Float32Array);
      }
    }
  });
  const activations = probe.activations.flatMap(({ activation, nodes }) => {
    const histogram = histograms.get(activation)!.histogram();
    return histogram === undefined ? [] : [{ activation, nodes, ...histogram }];
  });
  return { layers: errors.ranked(), activations };
}

interface Answered {
  readonly answers: readonly Answers[];
  readonly sizeBytes: number;
  readonly latencyMs: number;
}

/** Enough single rows for a median that stands still. */
const timedRows = { warmUp: 5, samples: 50 };

async function answerAll(model: Model, batches: readonly Batch[], output: string): Promise<Answered> {
  const bytes = encodeModel(model);
  return await withSession(bytes, async (session) => {
    const answers: Answers[] = [];
    for (const { feeds, rows } of batches)
      answers.push(readAnswers((await session.run(feeds, [output]))[output]!, rows, output));
    const times: number[] = [];
    for (let i = 0; i < timedRows.warmUp + timedRows.samples; i++) {
      const { feeds } = batches[i % batches.length]!;
      const single = Object.fromEntries(Object.entries(feeds).map(([name, tensor]) => [name, firstRow(tensor)]));
      const startedAt = performance.now();
      await session.run(single, [output]);
      if (i >= timedRows.warmUp) times.push(performance.now() - startedAt);
    }
    times.sort((a, b) => a - b);
    return { answers, sizeBytes: bytes.byteLength, latencyMs: times[times.length >> 1]! };
  });
}

function firstRow(tensor: Tensor): Tensor {
  const [rows = 1, ...rest] = tensor.dims;
  const data = (tensor.data as Float32Array).subarray(0, tensor.size / Math.max(1, rows));
  return new Tensor(tensor.type as 'float32', data, [1, ...rest]);
}

async function withSession<T>(model: Model | Uint8Array, use: (session: InferenceSession) => Promise<T>): Promise<T> {
  let session: InferenceSession;
  try {
    session = await InferenceSession.create(model instanceof Uint8Array ? model : encodeModel(model), sessionOptions);
  } catch (error) {
    throw new OnnxError(
      `the engine does not load the model: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
  try {
    return await use(session);
  } finally {
    await session.release();
  }
}
