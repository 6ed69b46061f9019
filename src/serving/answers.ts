import type { ModelSignature, Prediction } from '../contracts/model.ts';
import { ServingError, servingErrors } from './errors.ts';

/** The graph's output for `rowCount` rows: `float32[rowCount, width]`, row by row. */
export interface OutputValues {
  type: string;
  dims: readonly number[];
  data: ArrayLike<unknown>;
}

/** Columns that the output must have: one per class, or one value. */
export const outputWidth = (signature: ModelSignature): number =>
  signature.task === 'regression' ? 1 : signature.labels.length;

/** Output values → answers. NaN or infinity is an error, never an answer. */
export function readAnswers(signature: ModelSignature, output: OutputValues, rowCount: number): Prediction[] {
  const width = outputWidth(signature);
  if (output.type !== 'float32' || output.dims.length !== 2 || output.dims[0] !== rowCount || output.dims[1] !== width)
    throw new ServingError(
      servingErrors.predictionFailed,
      `output "${signature.output}" is ${output.type}[${output.dims.join(', ')}], expected float32[${rowCount}, ${width}]`,
    );
  const values = output.data as Float32Array;
  return Array.from({ length: rowCount }, (_, row) => {
    const scores = values.subarray(row * width, (row + 1) * width);
    if (!scores.every(Number.isFinite))
      throw new ServingError(servingErrors.predictionFailed, `output "${signature.output}" is not a finite number`);
    return readAnswer(signature, scores);
  });
}

function readAnswer({ task, labels }: ModelSignature, scores: Float32Array): Prediction {
  if (task === 'regression') return { label: String(scores[0]), score: scores[0]! };
  // The first of equal scores wins: a tie of two classes is the negative one.
  let best = 0;
  for (let index = 1; index < scores.length; index++) if (scores[index]! > scores[best]!) best = index;
  return { label: labels[best]!, score: task === 'binary-classification' ? scores[1]! : scores[best]! };
}
