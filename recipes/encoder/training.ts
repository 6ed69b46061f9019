import type { TrainingCheckpoints } from '../../src/onnx/train/checkpoint.ts';
import type { Parameters } from '../../src/onnx/train/parameters.ts';
import { learningRateAt } from '../../src/onnx/train/schedule.ts';
import type { MicroBatch, TrainingSession } from '../../src/onnx/train/session.ts';
import { countCorrect } from '../text-classifier/correct.ts';
import { TrainingFailure } from '../text-classifier/failure.ts';
import { reportProgress } from '../text-classifier/log.ts';
import { randomStream } from '../text-classifier/random.ts';
import { stopwatch } from '../text-classifier/stopwatch.ts';
import { lengthBuckets, parts } from './batches.ts';
import { trainingNames } from './graphs.ts';
import { type Hyperparameters, learningRateOf } from './hyperparameters.ts';
import type { InputBuilder } from './inputs.ts';
import { countValidation, divergence, type Progress } from './progress.ts';

export interface TrainingInput {
  /** Rows to train on and rows to validate on, as indices into `labels` and `lengths`. */
  readonly trained: Int32Array;
  readonly validated: Int32Array;
  readonly labels: Int32Array;
  /** Tokens of each row. */
  readonly lengths: Int32Array;
  readonly classes: number;
  readonly inputs: InputBuilder;
  readonly hyperparameters: Hyperparameters;
}

/** Thrown after the state is safe, because somebody asked the program to leave. */
export class TrainingStopped extends Error {
  override readonly name = 'TrainingStopped';
}

/** What a training changes: the parameters in place, the progress, the best weights so far. */
export interface TrainingState {
  readonly parameters: Parameters;
  progress: Progress;
  best: Map<string, Float32Array> | undefined;
}

/**
 * Trains from `state.progress` on. Each epoch's order and each step's dropout follow from the seed, the epoch and the step
 * alone, so a run that was killed and resumed ends with the same bits as one that was not. At the end the parameters are the
 * best ones by validation, if there was one.
 * @throws TrainingFailure `diverged`; TrainingStopped when `shouldStop` says so.
 */
export async function train(
  input: TrainingInput,
  session: TrainingSession,
  state: TrainingState,
  checkpoints: TrainingCheckpoints,
  shouldStop: () => boolean,
): Promise<void> {
  const { trained, lengths, hyperparameters } = input;
  const { batchSize, epochs, patience, seed, checkpointSeconds, progressSeconds } = hyperparameters;
  const stepsPerEpoch = Math.ceil(trained.length / batchSize);
  const steps = epochs * stepsPerEpoch;
  const trainedLengths = Int32Array.from(trained, (row) => lengths[row]!);
  const everySave = stopwatch(checkpointSeconds);
  const everyReport = stopwatch(progressSeconds);
  const { progress } = state;
  let order: { epoch: number; batches: Int32Array[] } | undefined;

  while (progress.step < steps && !progress.isOver) {
    const epoch = Math.floor(progress.step / stepsPerEpoch);
    const inEpoch = progress.step % stepsPerEpoch;
    if (inEpoch === 0) Object.assign(progress, { loss: 0, rows: 0, correct: 0 });
    if (order?.epoch !== epoch)
      order = { epoch, batches: lengthBuckets(trainedLengths, batchSize, randomStream(seed, 3, epoch)) };
    const rows = order.batches[inEpoch]!.map((place) => trained[place]!);
    const gradientNorm = await trainStep(input, session, progress, rows, steps);

    const isEpochEnd = inEpoch === stepsPerEpoch - 1;
    if (isEpochEnd && input.validated.length > 0) {
      const { loss, accuracy } = await validate(input, session);
      if (countValidation(progress, epoch + 1, loss, accuracy)) state.best = copyOf(state.parameters);
      progress.isOver = patience > 0 && progress.waited >= patience;
    }
    const isLast = progress.step === steps || progress.isOver;
    if (isLast || isEpochEnd || everyReport())
      reportProgress(isLast ? 1 : progress.step / steps, {
        epoch: epoch + 1,
        step: progress.step,
        gradientNorm,
        ...averages(progress),
      });
    const stop = shouldStop();
    if (isLast || stop || everySave()) await checkpoints.save(progress.step, state, progress);
    if (stop && !isLast) throw new TrainingStopped(`stopped after step ${progress.step} of ${steps}`);
  }
  for (const [name, weight] of state.best ?? []) state.parameters.get(name)!.weight.set(weight);
  for (const [name, { weight }] of state.parameters)
    if (!weight.every(Number.isFinite))
      throw new TrainingFailure('diverged', `"${name}" holds a number that is not finite`);
}

/** One update of all parameters; returns the norm of the gradients. */
async function trainStep(
  { inputs, labels, classes, hyperparameters }: TrainingInput,
  session: TrainingSession,
  progress: Progress,
  rows: Int32Array,
  steps: number,
): Promise<number> {
  const { microBatchSize, maxGradientNorm, schedule, warmup } = hyperparameters;
  const step = progress.step + 1;
  const learningRate = learningRateAt(step, {
    shape: schedule,
    learningRate: learningRateOf(hyperparameters),
    steps,
    warmupSteps: Math.round(warmup * steps),
  });
  const pieces = parts(rows, microBatchSize);
  const batches = pieces.map(
    (piece, i): MicroBatch => ({ feeds: inputs.build(piece, [step, i]), share: piece.length / rows.length }),
  );
  const { loss, gradientNorm, outputs } = await session.run(batches, { step, learningRate, maxGradientNorm });
  progress.step = step;
  progress.recentLoss = step === 1 ? loss : progress.recentLoss * 0.9 + loss * 0.1;
  const trouble = divergence(progress, loss, gradientNorm, classes);
  if (trouble !== undefined)
    throw new TrainingFailure('diverged', `${trouble} at step ${step} of ${steps}, learning rate ${learningRate}`);
  progress.loss += loss * rows.length;
  progress.rows += rows.length;
  for (const [i, piece] of pieces.entries())
    progress.correct += countCorrect(outputs[i]![trainingNames.logits]!, piece, labels, classes);
  return gradientNorm;
}

/** Loss and accuracy of the rows that are not trained on. */
async function validate(
  { inputs, validated, labels, classes, lengths, hyperparameters }: TrainingInput,
  session: TrainingSession,
): Promise<{ loss: number; accuracy: number }> {
  const size = Math.min(hyperparameters.batchSize, hyperparameters.microBatchSize);
  const sorted = validated.slice().sort((a, b) => lengths[a]! - lengths[b]! || a - b);
  let [loss, correct] = [0, 0];
  for (const rows of parts(sorted, size)) {
    const outputs = await session.evaluate(inputs.build(rows));
    loss += outputs[trainingNames.loss]![0]! * rows.length;
    correct += countCorrect(outputs[trainingNames.logits]!, rows, labels, classes);
  }
  return { loss: loss / validated.length, accuracy: correct / validated.length };
}

const copyOf = (parameters: Parameters): Map<string, Float32Array> =>
  new Map([...parameters].map(([name, { weight }]) => [name, weight.slice()]));

function averages({ loss, rows, correct, validationLoss, validationAccuracy }: Progress): Record<string, number> {
  return {
    loss: loss / rows,
    accuracy: correct / rows,
    ...(validationLoss !== null && { validationLoss }),
    ...(validationAccuracy !== null && { validationAccuracy }),
  };
}
