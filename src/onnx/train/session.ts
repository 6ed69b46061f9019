import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import type { Model } from '../model.ts';
import { saveModel } from '../proto/save-model.ts';
import { biasCorrections } from './adamw.ts';
import type { Parameters } from './parameters.ts';
import { gradientStep, stepNames, type TrainingStepOptions, trainingStep, updateStep } from './training-step.ts';

export type Feeds = Readonly<Record<string, ort.Tensor>>;

/** One update: one micro-batch, or several whose gradients are added up. */
export interface Update {
  /** Counts from 1 over the whole training; AdamW's bias correction follows it. */
  readonly step: number;
  readonly learningRate: number;
  /** Infinity: no clipping. */
  readonly maxGradientNorm: number;
}

export interface MicroBatch {
  readonly feeds: Feeds;
  /** The share of the batch's loss that this part is; the shares of a batch add up to 1. */
  readonly share: number;
}

export interface StepResult {
  /** Of each micro-batch: the loss, and what `report` names. */
  readonly outputs: readonly Readonly<Record<string, Float32Array>>[];
  /** Σ share · loss. */
  readonly loss: number;
  /** Before clipping. */
  readonly gradientNorm: number;
}

export interface TrainingSessionOptions extends TrainingStepOptions {
  /** Threads of the engine: a part of what makes a training repeatable, because sums are cut by it. */
  readonly threads: number;
  /** Whether batches come in several parts. */
  readonly accumulates?: boolean;
}

/**
 * Trains the parameters in place on ONNX Runtime: each step reads weights and moments from their arrays and writes the next
 * ones into the same memory. Weights that are not trained are loaded once, from a file that the engine maps.
 */
export class TrainingSession {
  private readonly step: ort.InferenceSession;
  private readonly update: ort.InferenceSession | undefined;
  private readonly options: TrainingSessionOptions;
  private readonly state: Feeds;
  private readonly gradients: ReadonlyMap<string, ort.Tensor>;

  private constructor(
    step: ort.InferenceSession,
    update: ort.InferenceSession | undefined,
    parameters: Parameters,
    options: TrainingSessionOptions,
  ) {
    this.step = step;
    this.update = update;
    this.options = options;
    const tensors: Record<string, ort.Tensor> = {};
    const gradients = new Map<string, ort.Tensor>();
    for (const [name, { dims, weight, moment1, moment2 }] of parameters) {
      tensors[name] = new ort.Tensor('float32', weight, dims);
      tensors[stepNames.moment1(name)] = new ort.Tensor('float32', moment1, dims);
      tensors[stepNames.moment2(name)] = new ort.Tensor('float32', moment2, dims);
      if (update !== undefined) {
        gradients.set(stepNames.gradient(name), new ort.Tensor('float32', new Float32Array(weight.length), dims));
      }
    }
    this.state = tensors;
    this.gradients = gradients;
  }

  /** @param forward a model with the loss as an output and the weights of `parameters` as initializers. */
  static async create(
    forward: Model,
    parameters: Parameters,
    options: TrainingSessionOptions,
  ): Promise<TrainingSession> {
    if (options.accumulates !== true) {
      const step = await openSession(trainingStep(forward, options), options);
      return new TrainingSession(step, undefined, parameters, options);
    }
    const step = await openSession(gradientStep(forward, options), options);
    const update = await openSession(updateStep(forward, options), options);
    return new TrainingSession(step, update, parameters, options);
  }

  /** Throws what the engine throws; the parameters are then in an unknown state. */
  async run(batches: readonly MicroBatch[], update: Update): Promise<StepResult> {
    const { correction1, correction2 } = biasCorrections(update.step, this.options.adamW);
    const schedule = scalars({
      [stepNames.learningRate]: update.learningRate,
      [stepNames.correction1]: correction1,
      [stepNames.correction2]: correction2,
      [stepNames.maxGradientNorm]: update.maxGradientNorm,
    });
    if (this.update === undefined) {
      const [only] = batches;
      if (only === undefined || batches.length > 1)
        throw new RangeError('expected one batch: the session accumulates none');
      const feeds = {
        ...only.feeds,
        ...schedule,
        ...scalars({ [stepNames.gradientScale]: only.share }),
        ...this.state,
      };
      const results = await this.step.run(feeds, this.fetches(this.state, [stepNames.gradientNorm]));
      return this.result([[only, results]], results);
    }
    for (const tensor of this.gradients.values()) (tensor.data as Float32Array).fill(0);
    const gradients = Object.fromEntries(this.gradients);
    const inputs = this.gradientInputs();
    const done: [MicroBatch, ort.InferenceSession.OnnxValueMapType][] = [];
    for (const batch of batches) {
      const feeds = { ...batch.feeds, ...inputs, ...scalars({ [stepNames.gradientScale]: batch.share }) };
      done.push([batch, await this.step.run(feeds, this.fetches(gradients, []))]);
    }
    const results = await this.update.run(
      { ...schedule, ...gradients, ...this.state },
      { ...nextOf(this.state), [stepNames.gradientNorm]: null },
    );
    return this.result(done, results);
  }

  /**
   * Loss and report of some rows; nothing is trained. The step's own graph computes them, backward pass included: that costs
   * time where a second graph would cost the memory of all frozen weights once more.
   */
  async evaluate(feeds: Feeds): Promise<Readonly<Record<string, Float32Array>>> {
    const constants = { learningRate: 0, correction1: 1, correction2: 1, maxGradientNorm: 1, gradientScale: 1 };
    const given = this.update === undefined ? { ...this.state, ...scalars(constants) } : this.gradientInputs();
    const results = await this.step.run({ ...feeds, ...given }, this.reported());
    return Object.fromEntries(this.reported().map((name) => [name, results[name]!.data as Float32Array]));
  }

  release(): Promise<unknown> {
    return Promise.all([this.step.release(), this.update?.release()]);
  }

  /** Of a step without update: sums of gradients and weights. */
  private gradientInputs(): Record<string, ort.Tensor> {
    const weights = Object.fromEntries(this.options.trainable.map((name) => [name, this.state[name]!]));
    return { ...Object.fromEntries(this.gradients), ...weights, ...scalars({ [stepNames.gradientScale]: 1 }) };
  }

  private reported(): string[] {
    return [this.options.loss, ...(this.options.report ?? [])];
  }

  /** Outputs that are written into the memory of their inputs, and those that are read afterwards. */
  private fetches(inPlace: Feeds, read: readonly string[]): Record<string, ort.Tensor | null> {
    return { ...nextOf(inPlace), ...Object.fromEntries([...this.reported(), ...read].map((name) => [name, null])) };
  }

  private result(
    done: readonly (readonly [MicroBatch, ort.InferenceSession.OnnxValueMapType])[],
    last: ort.InferenceSession.OnnxValueMapType,
  ): StepResult {
    const floats = (results: ort.InferenceSession.OnnxValueMapType, name: string): Float32Array =>
      results[name]!.data as Float32Array;
    const outputs = done.map(([, results]) =>
      Object.fromEntries(this.reported().map((name) => [name, floats(results, name)])),
    );
    const loss = done.reduce((sum, [{ share }, results]) => sum + share * floats(results, this.options.loss)[0]!, 0);
    return { outputs, loss, gradientNorm: floats(last, stepNames.gradientNorm)[0]! };
  }
}

const nextOf = (state: Feeds): Record<string, ort.Tensor> =>
  Object.fromEntries(Object.entries(state).map(([name, tensor]) => [stepNames.next(name), tensor]));

const scalars = (values: Readonly<Record<string, number>>): Record<string, ort.Tensor> =>
  Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, new ort.Tensor('float32', Float32Array.of(value), [])]),
  );

/**
 * Opens a model for training or for evaluation beside it. Frozen weights go through a file that is mapped and removed at
 * once: bytes in memory would be held twice while they are parsed.
 */
export async function openSession(
  model: Model,
  { threads }: { readonly threads: number },
): Promise<ort.InferenceSession> {
  const folder = await mkdtemp(join(tmpdir(), 'goto3-train-'));
  try {
    const path = join(folder, 'model.onnx');
    await saveModel(model, path, { externalData: 'always', durability: 'fast' });
    return await ort.InferenceSession.create(path, {
      executionProviders: ['cpu'],
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      // Shapes change from batch to batch: remembered allocation plans would not fit and only grow.
      enableMemPattern: false,
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
