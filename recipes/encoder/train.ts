import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ForeignCheckpointError, TrainingCheckpoints } from '../../src/onnx/train/checkpoint.ts';
import { parametersOf } from '../../src/onnx/train/parameters.ts';
import { TrainingSession } from '../../src/onnx/train/session.ts';
import { type Container, failureFileOf, readContainer } from '../text-classifier/container.ts';
import { TrainingFailure } from '../text-classifier/failure.ts';
import { log } from '../text-classifier/log.ts';
import { digestOfRows } from '../text-classifier/rows.ts';
import { openBase } from './base.ts';
import { exportModel } from './export.ts';
import { rowFeatures } from './features.ts';
import { trainingNames } from './graphs.ts';
import { decisive, type Hyperparameters, parseHyperparameters } from './hyperparameters.ts';
import { featureInputs, InputBuilder, tokenInputs } from './inputs.ts';
import { atStart, Progress } from './progress.ts';
import { readTrainingRows } from './rows.ts';
import { setUp } from './setup.ts';
import { type TrainingState, TrainingStopped, train } from './training.ts';

/**
 * Fine-tunes a BERT-family encoder as a text classifier under the SageMaker container contract (DESIGN §4): rows from the
 * `train` channel, the encoder as the hub keeps it on the `base` channel, `model.onnx` out. Modes: a head on frozen features,
 * LoRA and a head, everything. It can be killed at any instruction and started again; the weights are the same, bit for bit.
 * SIGTERM saves a checkpoint and exits with 143.
 */
async function main(container: Container): Promise<void> {
  let isStopping = false;
  process.once('SIGTERM', () => {
    isStopping = true;
  });
  const hyperparameters = parseHyperparameters(container.hyperparameters);
  const { mode, threads, batchSize, microBatchSize, weightDecay } = hyperparameters;
  const { encoder, digest: baseDigest } = await openBase(container.base);
  const data = await readTrainingRows(container.train, encoder.tokenizer, hyperparameters);
  const classes = data.classes.length;
  const { forward, trainable, lora } = setUp(encoder, classes, hyperparameters);

  const state: TrainingState = { parameters: parametersOf(forward, trainable), progress: atStart(), best: undefined };
  const checkpoints = new TrainingCheckpoints(
    container.checkpointFolder,
    {
      base: baseDigest,
      baseRevision: hyperparameters.baseRevision ?? '',
      rows: digestOfRows(data.rows),
      hyperparameters: sha256(JSON.stringify(decisive(hyperparameters))),
    },
    log,
  );
  const kept = await restore(checkpoints, state);
  if (kept > 0) log('resumed', { step: kept });

  const rowInputs =
    mode === 'head'
      ? featureInputs(
          await rowFeatures({ encoder, ids: data.ids, baseDigest, folder: container.checkpointFolder, threads }),
          encoder.config.hiddenSize,
        )
      : tokenInputs(data.ids, encoder.tokenizer.padTokenId);
  const session = await TrainingSession.create(forward, state.parameters, {
    loss: trainingNames.loss,
    report: [trainingNames.logits],
    trainable,
    threads,
    accumulates: microBatchSize < batchSize,
    adamW: { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay },
  });
  const inputs = new InputBuilder(rowInputs, data.labels, {
    ...hyperparameters,
    classes,
    hiddenSize: encoder.config.hiddenSize,
  });
  await train({ ...data, classes, inputs, hyperparameters }, session, state, checkpoints, () => isStopping);
  await session.release();

  const { baseName = null, baseRevision = null } = hyperparameters;
  const base = { folder: container.base!, name: baseName, revision: baseRevision };
  await exportModel(
    container.modelFolder,
    { encoder, parameters: state.parameters, lora, classes: data.classes },
    base,
  );
  encoder.close();
  await writeMetrics(container.dataFolder, hyperparameters, state.progress, {
    rows: data.rows.length,
    resumedFrom: kept,
  });
}

/** Steps that an earlier run did. @throws TrainingFailure for a checkpoint of another training. */
async function restore(checkpoints: TrainingCheckpoints, state: TrainingState): Promise<number> {
  try {
    const found = await checkpoints.restore(state.parameters);
    if (found === undefined) return 0;
    state.progress = Progress.parse(found.progress);
    state.best = found.best;
    return state.progress.step;
  } catch (error) {
    if (error instanceof ForeignCheckpointError)
      throw new TrainingFailure('userError', error.message, { cause: error });
    throw error;
  }
}

async function writeMetrics(
  folder: string,
  { mode }: Hyperparameters,
  { step, loss, rows, correct, isOver: _, ...validation }: Progress,
  more: Readonly<Record<string, number>>,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const metrics = { mode, steps: step, loss: loss / rows, accuracy: correct / rows, ...validation, ...more };
  await writeFile(join(folder, 'metrics.json'), `${JSON.stringify(metrics, null, 2)}\n`);
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

try {
  await main(readContainer(process.env));
} catch (error) {
  if (error instanceof TrainingStopped) {
    log('stopped', { reason: error.message });
    // 128 + SIGTERM: the runner reads it as "asked to leave", not as a failure of the program.
    process.exitCode = 143;
  } else {
    const file = failureFileOf(process.env);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, error instanceof Error ? error.message : String(error));
    console.error(error);
    process.exitCode = 1;
  }
}
