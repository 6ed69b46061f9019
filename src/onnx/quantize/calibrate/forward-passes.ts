import { join } from 'node:path';
import { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { OnnxError } from '../../error.ts';
import type { Tensor } from '../../model.ts';
import { type TypedDataType, valuesOf } from '../../tensor.ts';
import { calibrationFiles } from './calibration-files.ts';
import { count, type Histogram } from './histogram.ts';
import type { Observed } from './observed-model.ts';
import { type CalibrationMethod, histogramsFor, needsHistograms, rangeOf } from './ranges.ts';
import { BatchSpool } from './spool.ts';
import type { ValueRange } from './value-range.ts';

export interface PassesOptions {
  readonly observed: readonly Observed[];
  readonly method: CalibrationMethod;
  /** Threads of the engine; undefined: one per core. */
  readonly threads: number | undefined;
  readonly kernels: Kernels;
}

/**
 * `fused`: as the engine runs a model that it serves. `plain`: operator by operator, as onnxruntime's own calibrators do;
 * slower, and the last bit of a scale may differ.
 */
export type Kernels = 'fused' | 'plain';

/**
 * The forward passes of a calibration, here or in a process of their own. `open` first, then every batch, then `finish`,
 * which gives the ranges; `close` at any time.
 */
export interface Passes {
  open(options: PassesOptions): Promise<void>;
  observe(batch: readonly Tensor[]): Promise<void>;
  /** `onCounted` gets the number of batches counted in a second pass. */
  finish(onCounted: (batches: number) => void): Promise<readonly (readonly [value: string, range: ValueRange])[]>;
  close(): Promise<void>;
}

/** In this process, whose thread the engine blocks. */
export class ForwardPasses implements Passes {
  private readonly folder: string;
  private options: PassesOptions | undefined;
  private session: InferenceSession | undefined;
  private spool: BatchSpool | undefined;
  private readonly extremes = new Map<string, { min: number; max: number }>();
  private batches = 0;

  /** @param folder holds the observed model and nothing that is not the calibration's */
  constructor(folder: string) {
    this.folder = folder;
  }

  async open(options: PassesOptions): Promise<void> {
    this.options = options;
    if (needsHistograms(options.method))
      this.spool = await BatchSpool.create(join(this.folder, calibrationFiles.batches));
    try {
      this.session = await InferenceSession.create(join(this.folder, calibrationFiles.model), {
        graphOptimizationLevel: options.kernels === 'fused' ? 'all' : 'disabled',
        logSeverityLevel: 3,
        // The arena keeps more than a pass needs: a sixth of the peak with ResNet-50, and no time gained.
        enableCpuMemArena: false,
        enableMemPattern: false,
        ...(options.threads !== undefined && { intraOpNumThreads: options.threads }),
      });
    } catch (error) {
      throw new OnnxError(`the engine refuses the model: ${(error as Error).message}`, { cause: error });
    }
  }

  async observe(batch: readonly Tensor[]): Promise<void> {
    const where = `calibration batch ${this.batches}`;
    const { observed } = this.options!;
    const outputs = await this.run(
      batch,
      observed.flatMap(({ min, max }) => [min, max]),
      where,
    );
    for (const { value, min, max } of observed) {
      const [low, high] = [Number(outputs[min]!.data[0]), Number(outputs[max]!.data[0])];
      if (!Number.isFinite(low) || !Number.isFinite(high)) {
        throw new OnnxError(`${where}: value "${value}" is not finite, it reaches from ${low} to ${high}`);
      }
      const known = this.extremes.get(value);
      this.extremes.set(value, { min: Math.min(known?.min ?? low, low), max: Math.max(known?.max ?? high, high) });
    }
    await this.spool?.write(batch);
    this.batches++;
  }

  async finish(onCounted: (batches: number) => void): Promise<[string, ValueRange][]> {
    const { method } = this.options!;
    if (!needsHistograms(method)) return [...this.extremes];
    const histograms = histogramsFor(method, this.extremes);
    let batches = 0;
    for await (const batch of this.spool!.read()) {
      await this.count(histograms, batch, `calibration batch ${batches}`);
      onCounted(++batches);
    }
    return [...histograms].map(([value, histogram]) => [value, rangeOf(histogram, method)]);
  }

  async close(): Promise<void> {
    await this.session?.release();
    await this.spool?.close();
  }

  private async count(
    histograms: ReadonlyMap<string, Histogram>,
    batch: readonly Tensor[],
    where: string,
  ): Promise<void> {
    const inputs = new Map(batch.map((tensor) => [tensor.name, tensor]));
    const computed = [...histograms.keys()].filter((value) => !inputs.has(value));
    const outputs = computed.length > 0 ? await this.run(batch, computed, where) : {};
    for (const [value, histogram] of histograms) {
      const input = inputs.get(value);
      const outside = count(histogram, input ? valuesOf(input, 'float32') : (outputs[value]!.data as Float32Array));
      // Both passes run the same kernels on the same rows; only NaN compares as neither.
      if (outside > 0) throw new OnnxError(`${where}: ${outside} numbers of value "${value}" are not finite`);
    }
  }

  private async run(
    batch: readonly Tensor[],
    outputs: readonly string[],
    where: string,
  ): Promise<InferenceSession.OnnxValueMapType> {
    const feeds = Object.fromEntries(batch.map((tensor) => [tensor.name, ortTensor(tensor)]));
    try {
      return await this.session!.run(feeds, outputs);
    } catch (error) {
      throw new OnnxError(`${where}: ${(error as Error).message}`, { cause: error });
    }
  }
}

function ortTensor(tensor: Tensor): OrtTensor {
  const type = tensor.type as TypedDataType;
  return new OrtTensor(type as 'float32', valuesOf(tensor, type) as Float32Array, tensor.dims);
}
