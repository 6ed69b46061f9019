import { BatchBuilder } from './batch.ts';
import type { Checkpoints, Progress } from './checkpoint.ts';
import { countCorrect } from './correct.ts';
import { TrainingFailure } from './failure.ts';
import type { Hyperparameters } from './hyperparameters.ts';
import { reportProgress } from './log.ts';
import { randomStream, shuffled } from './random.ts';
import { StepRunner, type TrainingState } from './step-runner.ts';
import { stopwatch } from './stopwatch.ts';
import { TargetBuilder } from './targets.ts';
import type { Shape } from './weights.ts';

export interface TrainingInput {
  /** Token ids of each row. */
  bags: readonly Int32Array[];
  /** Class index of each row. */
  labels: Int32Array;
  shape: Shape;
  hyperparameters: Hyperparameters;
  epochs: number;
}

export interface TrainingSummary {
  steps: number;
  /** Of the last epoch: mean loss, and the share of rows right before their own step. */
  loss: number;
  accuracy: number;
}

/** Thrown after the state is safe, because somebody asked the program to leave. */
export class TrainingStopped extends Error {
  override readonly name = 'TrainingStopped';
}

/**
 * Trains `state` in place from `progress` on. Each epoch's order and each step's dropout follow from the seed, the epoch
 * and the step alone, so a run that was killed and resumed ends with the same bits as one that was not.
 * @throws TrainingFailure `diverged` when the loss is no number; TrainingStopped when `shouldStop` says so.
 */
export async function train(
  input: TrainingInput,
  state: TrainingState,
  progress: Progress,
  checkpoints: Checkpoints,
  shouldStop: () => boolean,
): Promise<TrainingSummary> {
  const { bags, labels, shape, hyperparameters, epochs } = input;
  const { batchSize, learningRate, seed, weightDecay, checkpointSeconds, progressSeconds } = hyperparameters;
  const stepsPerEpoch = Math.ceil(bags.length / batchSize);
  const steps = epochs * stepsPerEpoch;
  const batches = new BatchBuilder(bags, hyperparameters);
  const targets = new TargetBuilder(labels, { ...hyperparameters, classes: shape.classes });
  const runner = await StepRunner.create(shape, state, weightDecay);
  const everySave = stopwatch(checkpointSeconds);
  const everyReport = stopwatch(progressSeconds);
  let order: Int32Array = new Int32Array(0);

  while (progress.step < steps) {
    const epoch = Math.floor(progress.step / stepsPerEpoch);
    const inEpoch = progress.step % stepsPerEpoch;
    if (inEpoch === 0) Object.assign(progress, { loss: 0, rows: 0, correct: 0 });
    if (inEpoch === 0 || order.length === 0) order = shuffled(bags.length, randomStream(seed, 3, epoch));

    const rows = order.subarray(inEpoch * batchSize, (inEpoch + 1) * batchSize);
    const step = progress.step + 1;
    const rate = learningRate * (1 - progress.step / steps);
    const { loss, logits } = await runner.run(batches.build(rows, step), targets.build(rows), step, rate);
    if (!Number.isFinite(loss))
      throw new TrainingFailure('diverged', `the loss is ${loss} at step ${step} of ${steps}, learning rate ${rate}`);
    progress.step = step;
    progress.loss += loss * rows.length;
    progress.rows += rows.length;
    progress.correct += countCorrect(logits, rows, labels, shape.classes);

    const isLast = step === steps;
    if (isLast || everyReport()) reportProgress(step / steps, { epoch: epoch + 1, step, ...averages(progress) });
    const stop = shouldStop();
    if (isLast || stop || everySave()) await checkpoints.save(state, progress);
    if (stop && !isLast) throw new TrainingStopped(`stopped after step ${step} of ${steps}`);
  }
  await runner.release();
  // The last update is not seen by any loss.
  if (!isFiniteState(state)) throw new TrainingFailure('diverged', `a weight is no finite number after ${steps} steps`);
  return { steps, ...averages(progress) };
}

const isFiniteState = ({ weight }: TrainingState): boolean =>
  Object.values(weight).every((values) => values.every(Number.isFinite));

const averages = ({ loss, rows, correct }: Progress) => ({ loss: loss / rows, accuracy: correct / rows });
