import * as ort from 'onnxruntime-node';
import { feedsOf } from '../../src/onnx/encoder/embed.ts';
import type { Feeds } from '../../src/onnx/train/session.ts';
import { randomStream } from '../text-classifier/random.ts';
import { TargetBuilder, type TargetOptions } from '../text-classifier/targets.ts';
import { trainingNames } from './graphs.ts';

/** The graph's inputs that stand for the rows: token ids and mask, or features that were computed before. */
export type RowInputs = (rows: Int32Array) => Feeds;

export interface InputOptions extends TargetOptions {
  readonly hiddenSize: number;
  readonly dropout: number;
  readonly seed: number;
}

/** Makes what a step needs of some rows. */
export class InputBuilder {
  private readonly rowInputs: RowInputs;
  private readonly targets: TargetBuilder;
  private readonly options: InputOptions;

  constructor(rowInputs: RowInputs, labels: Int32Array, options: InputOptions) {
    this.rowInputs = rowInputs;
    this.targets = new TargetBuilder(labels, options);
    this.options = options;
  }

  /** `names` (step, part) name the dropout, so that a resumed training drops the same; without them nothing is dropped. */
  build(rows: Int32Array, names?: readonly number[]): Feeds {
    const { classes, hiddenSize, dropout, seed } = this.options;
    const { targets, rowWeights } = this.targets.build(rows);
    const mask = new Float32Array(rows.length * hiddenSize).fill(1);
    if (names !== undefined && dropout > 0) {
      const random = randomStream(seed, 5, ...names);
      for (let i = 0; i < mask.length; i++) mask[i] = random() < dropout ? 0 : 1 / (1 - dropout);
    }
    return {
      ...this.rowInputs(rows),
      [trainingNames.targets]: new ort.Tensor('float32', targets, [rows.length, classes]),
      [trainingNames.rowWeights]: new ort.Tensor('float32', rowWeights, [rows.length]),
      [trainingNames.dropoutMask]: new ort.Tensor('float32', mask, [rows.length, hiddenSize]),
    };
  }
}

export const tokenInputs =
  (ids: readonly (readonly number[])[], padTokenId: number): RowInputs =>
  (rows) =>
    feedsOf(
      Array.from(rows, (row) => ids[row]!),
      padTokenId,
    );

/** @param features float32[rows, width] */
export const featureInputs =
  (features: Float32Array, width: number): RowInputs =>
  (rows) => {
    const values = new Float32Array(rows.length * width);
    for (const [i, row] of rows.entries()) values.set(features.subarray(row * width, (row + 1) * width), i * width);
    return { [trainingNames.features]: new ort.Tensor('float32', values, [rows.length, width]) };
  };
