import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { OnnxError } from '../../error.ts';
import type { Tensor } from '../../model.ts';
import { type TypedDataType, valuesOf } from '../../tensor.ts';
import { count, type Histogram } from './histogram.ts';
import { calibrationFiles, type FromCalibration, type ToCalibration } from './messages.ts';
import type { ExtremeOutputs } from './observed-model.ts';
import { binsOf, type CalibrationMethod, histogramsFor, rangeOf } from './ranges.ts';
import { BatchSpool } from './spool.ts';
import type { ValueRange } from './value-range.ts';

/**
 * The forward passes of a calibration, in a process of its own: the engine blocks the thread that calls it, cannot be
 * interrupted but by killing its process, and keeps the memory of its sessions. Its working folder holds the models.
 * Optimisations stay off, as in onnxruntime's own calibrators: fused kernels round differently.
 */
class Calibration {
  private readonly extremes: readonly ExtremeOutputs[];
  private readonly method: CalibrationMethod;
  private readonly threads: number | undefined;
  private readonly spool: BatchSpool | undefined;
  private session: InferenceSession;
  private readonly observed = new Map<string, { min: number; max: number }>();
  private batches = 0;

  private constructor(
    { extremes, method, threads }: Extract<ToCalibration, { op: 'open' }>,
    session: InferenceSession,
    spool: BatchSpool | undefined,
  ) {
    this.extremes = extremes;
    this.method = method;
    this.threads = threads;
    this.session = session;
    this.spool = spool;
  }

  static async open(message: Extract<ToCalibration, { op: 'open' }>): Promise<Calibration> {
    const spool = binsOf(message.method) === undefined ? undefined : await BatchSpool.create(calibrationFiles.batches);
    return new Calibration(message, await session(calibrationFiles.extremes, message.threads), spool);
  }

  async observe(batch: readonly Tensor[]): Promise<void> {
    const where = `calibration batch ${this.batches}`;
    const outputs = await run(this.session, batch, where);
    for (const { value, min, max } of this.extremes) {
      const [low, high] = [Number(outputs[min]!.data[0]), Number(outputs[max]!.data[0])];
      if (!Number.isFinite(low) || !Number.isFinite(high)) {
        throw new OnnxError(`${where}: value "${value}" is not finite, it reaches from ${low} to ${high}`);
      }
      const known = this.observed.get(value);
      this.observed.set(value, { min: Math.min(known?.min ?? low, low), max: Math.max(known?.max ?? high, high) });
    }
    await this.spool?.write(batch);
    this.batches++;
  }

  async finish(onCounted: (batches: number) => void): Promise<[string, ValueRange][]> {
    const { method } = this;
    const histograms = histogramsFor(method, this.observed);
    if (histograms === undefined || method.method === 'minMax' || this.spool === undefined) return [...this.observed];
    await this.session.release();
    this.session = await session(calibrationFiles.values, this.threads);
    let batches = 0;
    for await (const batch of this.spool.read()) {
      await this.count(histograms, batch, `calibration batch ${batches}`);
      onCounted(++batches);
    }
    await this.spool.close();
    return [...histograms].map(([value, histogram]) => [value, rangeOf(histogram, method)]);
  }

  private async count(
    histograms: ReadonlyMap<string, Histogram>,
    batch: readonly Tensor[],
    where: string,
  ): Promise<void> {
    const outputs = await run(this.session, batch, where);
    const inputs = new Map(batch.map((tensor) => [tensor.name, tensor]));
    for (const [value, histogram] of histograms) {
      const input = inputs.get(value);
      const floats = input ? valuesOf(input, 'float32') : (outputs[value]!.data as Float32Array);
      const outside = count(histogram, floats);
      // Both passes run the same kernels on the same rows; only NaN compares as neither.
      if (outside > 0) throw new OnnxError(`${where}: ${outside} numbers of value "${value}" are not finite`);
    }
  }
}

const session = (path: string, threads: number | undefined): Promise<InferenceSession> =>
  InferenceSession.create(path, {
    graphOptimizationLevel: 'disabled',
    logSeverityLevel: 3,
    ...(threads !== undefined && { intraOpNumThreads: threads }),
  }).catch((error: Error) => {
    throw new OnnxError(`the engine refuses the model: ${error.message}`, { cause: error });
  });

async function run(
  session: InferenceSession,
  batch: readonly Tensor[],
  where: string,
): Promise<InferenceSession.OnnxValueMapType> {
  const feeds = Object.fromEntries(batch.map((tensor) => [tensor.name, ortTensor(tensor)]));
  return await session.run(feeds).catch((error: Error) => {
    throw new OnnxError(`${where}: ${error.message}`, { cause: error });
  });
}

function ortTensor(tensor: Tensor): OrtTensor {
  const type = tensor.type as TypedDataType;
  return new OrtTensor(type as 'float32', valuesOf(tensor, type) as Float32Array, tensor.dims);
}

let calibration: Calibration | undefined;
async function answer(message: ToCalibration): Promise<FromCalibration> {
  switch (message.op) {
    case 'open':
      calibration = await Calibration.open(message);
      return { op: 'opened' };
    case 'observe':
      await calibration!.observe(message.batch);
      return { op: 'observed' };
    case 'finish':
      return { op: 'finished', ranges: await calibration!.finish((batches) => say({ op: 'counted', batches })) };
  }
}

const say = (message: FromCalibration): void => void process.send!(message);

process.on('message', (message: ToCalibration) => {
  answer(message)
    .catch(
      (error: Error & { type?: string }): FromCalibration => ({
        op: 'failed',
        message: error.message,
        type: error.type,
      }),
    )
    .then(say, () => process.exit(1));
});
// Whoever started this process is gone, however that happened.
process.on('disconnect', () => process.exit(0));
