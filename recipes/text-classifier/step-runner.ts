import { InferenceSession, Tensor } from 'onnxruntime-node';
import { encodeModel } from '../../src/onnx/proto/encode.ts';
import { adamWDefaults, biasCorrections } from '../../src/onnx/train/adamw.ts';
import type { Batch } from './batch.ts';
import type { Targets } from './targets.ts';
import { nextName, type StateKind, stateKinds, stateName, trainingModel } from './training-graph.ts';
import { dimsOf, type Shape, type WeightName, type Weights, weightNames, zeroWeights } from './weights.ts';

/** Weights and AdamW's moments: all that a step changes. */
export type TrainingState = Record<StateKind, Weights>;

export const startState = (shape: Shape, weight: Weights): TrainingState => ({
  weight,
  moment1: zeroWeights(shape),
  moment2: zeroWeights(shape),
});

export interface StepResult {
  loss: number;
  /** float32[batch, classes]. */
  logits: Float32Array;
}

/** Runs training steps on ONNX Runtime, in one thread: the same steps give the same bits. */
export class StepRunner {
  private readonly session: InferenceSession;
  private readonly shape: Shape;
  readonly state: TrainingState;
  private readonly buffers: Partial<Record<StateKind, Float32Array>> = {};

  private constructor(session: InferenceSession, shape: Shape, state: TrainingState) {
    this.session = session;
    this.shape = shape;
    this.state = state;
  }

  static async create(shape: Shape, state: TrainingState, weightDecay: number): Promise<StepRunner> {
    const model = encodeModel(trainingModel(shape, { ...adamWDefaults, weightDecay }));
    const session = await InferenceSession.create(model, {
      executionProviders: ['cpu'],
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      // Shapes change with every batch: remembered allocation plans would never fit and only grow.
      enableMemPattern: false,
    });
    return new StepRunner(session, shape, state);
  }

  /** One step. `step` counts from 1 over the whole training. */
  async run(batch: Batch, { targets, rowWeights }: Targets, step: number, learningRate: number): Promise<StepResult> {
    const rows = rowWeights.length;
    const scalars = { learningRate, ...biasCorrections(step) };
    const results = await this.session.run({
      bags: new Tensor('float32', batch.bags, [rows, batch.touched.length]),
      targets: new Tensor('float32', targets, [rows, this.shape.classes]),
      rowWeights: new Tensor('float32', rowWeights, [rows, 1]),
      ...Object.fromEntries(
        Object.entries(scalars).map(([name, value]) => [name, new Tensor('float32', Float32Array.of(value), [])]),
      ),
      ...this.stateInputs(batch.touched),
    });
    const values = (name: string): Float32Array => results[name]!.data as Float32Array;
    for (const kind of stateKinds)
      for (const name of weightNames) this.take(kind, name, values(nextName(kind, name)), batch.touched);
    return { loss: values('loss')[0]!, logits: values('logits') };
  }

  release(): Promise<void> {
    return this.session.release();
  }

  private stateInputs(touched: Int32Array): Record<string, Tensor> {
    const dims = dimsOf(this.shape);
    const inputs: Record<string, Tensor> = {};
    for (const kind of stateKinds)
      for (const name of weightNames) {
        const all = this.state[kind][name];
        inputs[stateName(kind, name)] =
          name === 'table'
            ? new Tensor(
                'float32',
                gatherRows(all, touched, this.shape.dimensions, this.buffer(kind, touched.length)),
                [touched.length, this.shape.dimensions],
              )
            : new Tensor('float32', all, dims[name]);
      }
    return inputs;
  }

  /** Memory for the gathered rows, kept from step to step: fresh pages cost more than the copy (measured). */
  private buffer(kind: StateKind, rows: number): Float32Array {
    const length = rows * this.shape.dimensions;
    if ((this.buffers[kind]?.length ?? 0) < length) this.buffers[kind] = new Float32Array(Math.ceil(length * 1.5));
    return this.buffers[kind]!.subarray(0, length);
  }

  private take(kind: StateKind, name: WeightName, next: Float32Array, touched: Int32Array): void {
    if (name === 'table') scatterRows(this.state[kind].table, touched, next, this.shape.dimensions);
    else this.state[kind][name].set(next);
  }
}

/** Rows of `table` into `out`, one after the other. */
function gatherRows(table: Float32Array, rows: Int32Array, width: number, out: Float32Array): Float32Array {
  for (let r = 0, to = 0; r < rows.length; r++)
    for (let from = rows[r]! * width, end = from + width; from < end; from++, to++) out[to] = table[from]!;
  return out;
}

function scatterRows(table: Float32Array, rows: Int32Array, values: Float32Array, width: number): void {
  for (let r = 0, from = 0; r < rows.length; r++)
    for (let to = rows[r]! * width, end = to + width; to < end; from++, to++) table[to] = values[from]!;
}
