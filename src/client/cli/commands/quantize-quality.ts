import type { Tensor } from 'onnxruntime-node';
import type { RowOutcome } from '../../../contracts/manifests.ts';
import type { ModelSignature } from '../../../contracts/model.ts';
import { OnnxError } from '../../../onnx/error.ts';
import type { TrialFigures } from '../../../onnx/quantize/search.ts';
import { comparePaired } from '../../../stats/paired.ts';
import type { SearchDocument } from './quantize-document.ts';
import type { Batch } from './quantize-rows.ts';

/** One output vector per row. */
export interface Answers {
  readonly rows: number;
  readonly width: number;
  readonly values: Float32Array;
}

export function readAnswers(tensor: Tensor, rows: number, output: string): Answers {
  if (tensor.type !== 'float32' || tensor.dims[0] !== rows)
    throw new OnnxError(
      `output "${output}" is ${tensor.type}[${tensor.dims.join(', ')}], expected float32 with a row for each of ${rows}`,
    );
  return { rows, width: tensor.size / rows, values: tensor.data as Float32Array };
}

export interface Quality {
  readonly kind: SearchDocument['quality'];
  /** Of the float model. */
  readonly float: number | null;
  compare(answers: readonly Answers[]): Pick<TrialFigures, 'quality' | 'loss' | 'lossUpper'>;
}

/**
 * With labels quality is accuracy. Without, the float model is the truth: agreement of the classes where its outputs are
 * probabilities, else the cosine between its vectors and the int8 model's.
 */
export function qualityOf(
  float: readonly Answers[],
  batches: readonly Batch[],
  signature: ModelSignature | undefined,
): Quality {
  const vectors = vectorsOf(float);
  const labels = batches.flatMap((batch) => batch.labels);
  const isLabelled = labels.every((label) => label !== undefined);
  const isClasses =
    vectors[0]!.length > 1 &&
    (signature ? signature.task !== 'regression' : isLabelled || vectors.every(isDistribution));
  if (!isClasses) return cosineQuality(vectors);
  const classOf = (vector: Float32Array): string => {
    const index = vector.reduce((best, value, i) => (value > vector[best]! ? i : best), 0);
    return signature?.labels[index] ?? String(index);
  };
  const truth = isLabelled ? (labels as string[]) : vectors.map(classOf);
  const outcomes = (of: readonly Float32Array[]): RowOutcome[] =>
    of.map((vector, i) => ({
      id: String(i),
      time: '',
      label: truth[i]!,
      predicted: classOf(vector),
      score: 0,
      slices: [],
    }));
  const reference = outcomes(vectors);
  const right = (of: readonly RowOutcome[]): number =>
    of.filter(({ label, predicted }) => label === predicted).length / of.length;
  return {
    kind: isLabelled ? 'accuracy' : 'agreement',
    float: right(reference),
    compare(answers) {
      const ours = outcomes(vectorsOf(answers));
      const question = { metric: 'accuracy', direction: 'higher', allowance: { margin: 0 } } as const;
      const { estimate, lower } = comparePaired(question, ours, reference, { task: 'multiclass-classification' });
      return {
        quality: right(ours),
        loss: estimate === null ? null : 0 - estimate,
        lossUpper: lower === null ? null : 0 - lower,
      };
    },
  };
}

/** Normal quantile of a one-sided 95 % bound of the mean. */
const z95 = 1.6449;

function cosineQuality(float: readonly Float32Array[]): Quality {
  return {
    kind: 'cosine',
    float: 1,
    compare(answers) {
      const losses = vectorsOf(answers).map((vector, i) => 1 - cosine(vector, float[i]!));
      const mean = losses.reduce((sum, x) => sum + x, 0) / losses.length;
      const variance = losses.reduce((sum, x) => sum + (x - mean) ** 2, 0) / Math.max(1, losses.length - 1);
      return { quality: 1 - mean, loss: mean, lossUpper: mean + z95 * Math.sqrt(variance / losses.length) };
    },
  };
}

function cosine(a: Float32Array, b: Float32Array): number {
  let [dot, aa, bb] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!;
    aa += a[i]! * a[i]!;
    bb += b[i]! * b[i]!;
  }
  return aa === 0 && bb === 0 ? 1 : dot / Math.sqrt(aa * bb);
}

const isDistribution = (vector: Float32Array): boolean =>
  vector.every((p) => p >= 0) && Math.abs(vector.reduce((sum, p) => sum + p, 0) - 1) < 1e-3;

const vectorsOf = (answers: readonly Answers[]): Float32Array[] =>
  answers.flatMap(({ rows, width, values }) =>
    Array.from({ length: rows }, (_, row) => values.subarray(row * width, (row + 1) * width)),
  );
