import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type ModelSignature, modelFileName, signatureFileName } from '../../src/contracts/model.ts';
import { encodeModel } from '../../src/onnx/proto/encode.ts';
import { FeatureError, textsOf } from '../../src/serving/features/encode.ts';
import { hashedTextIds } from '../../src/serving/features/hashed-text.ts';
import { readBase } from './base-model.ts';
import { Checkpoints } from './checkpoint.ts';
import { type Container, failureFileOf, readContainer } from './container.ts';
import { TrainingFailure } from './failure.ts';
import { decisive, type Hyperparameters, parseHyperparameters } from './hyperparameters.ts';
import { inferenceModel, outputName } from './inference-graph.ts';
import { log } from './log.ts';
import { classesOf, digestOfRows, featuresOf, readRows, type TrainingRow } from './rows.ts';
import { startState } from './step-runner.ts';
import { TrainingStopped, train } from './training.ts';
import { initialWeights, type Shape } from './weights.ts';

/**
 * Trains a text classifier under the SageMaker container contract (DESIGN §4): rows from the `train` channel, a champion
 * to start from on the `base` channel, `model.onnx` and `signature.json` out. It can be killed at any instruction and
 * started again; the weights are the same, bit for bit. SIGTERM saves a checkpoint and exits with 143.
 */
async function main(container: Container): Promise<void> {
  let isStopping = false;
  process.once('SIGTERM', () => {
    isStopping = true;
  });
  const hyperparameters = parseHyperparameters(container.hyperparameters);
  const rows = await readRows(container.train);
  const classes = classesOf(rows, hyperparameters.positive);
  const signature = signatureOf(rows, classes, hyperparameters);
  const { buckets, dimensions, hidden, seed } = hyperparameters;
  const shape: Shape = { buckets, dimensions, hidden, classes: classes.length };

  const base = container.base === undefined ? undefined : await readBase(container.base, signature, shape);
  if (base && 'unusable' in base) log('baseIgnored', { reason: base.unusable });
  const warm = base && 'weights' in base ? base : undefined;
  const key = createHash('sha256')
    .update(JSON.stringify([digestOfRows(rows), decisive(hyperparameters), warm?.digest ?? null]))
    .digest('hex');

  const state = startState(shape, warm?.weights ?? initialWeights(shape, seed));
  const checkpoints = new Checkpoints(container.checkpointFolder, key);
  const progress = (await checkpoints.restore(state)) ?? { step: 0, loss: 0, rows: 0, correct: 0 };
  const resumedFrom = progress.step;
  if (resumedFrom > 0) log('resumed', { step: resumedFrom });

  const summary = await train(
    {
      bags: bagsOf(rows, signature),
      labels: Int32Array.from(rows, (row) => classes.indexOf(row.label)),
      shape,
      hyperparameters,
      epochs: warm ? hyperparameters.warmEpochs : hyperparameters.epochs,
    },
    state,
    progress,
    checkpoints,
    () => isStopping,
  );
  await writeWhole(container.modelFolder, modelFileName, encodeModel(inferenceModel(state.weight, shape)));
  await writeWhole(container.modelFolder, signatureFileName, toJson(signature));
  const metrics = { ...summary, rows: rows.length, warmStarted: Number(warm !== undefined), resumedFrom };
  await writeWhole(container.dataFolder, 'metrics.json', toJson(metrics));
}

function signatureOf(
  rows: readonly TrainingRow[],
  labels: string[],
  { buckets, maxTokens, wordNgrams, features }: Hyperparameters,
): ModelSignature {
  return {
    schema: 'goto3/signature/v1',
    task: labels.length === 2 ? 'binary-classification' : 'multiclass-classification',
    preprocessing: {
      kind: 'hashed-text',
      features: featuresOf(rows, features),
      buckets,
      maxTokens,
      wordNgrams,
      version: 1,
    },
    labels,
    output: outputName,
  };
}

function bagsOf(rows: readonly TrainingRow[], { preprocessing }: ModelSignature): Int32Array[] {
  if (preprocessing.kind !== 'hashed-text') throw new TypeError('expected hashed-text preprocessing');
  try {
    return rows.map((row, r) => hashedTextIds(textsOf(row.features, r, preprocessing), preprocessing));
  } catch (error) {
    if (error instanceof FeatureError) throw new TrainingFailure('badData', error.message, { cause: error });
    throw error;
  }
}

const toJson = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`;

/** The runner collects the folder after exit 0 only, so whole files by rename are enough here. */
async function writeWhole(folder: string, name: string, content: string | Uint8Array): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, `.${name}.writing`), content);
  await rename(join(folder, `.${name}.writing`), join(folder, name));
}

function writeFailure(message: string): void {
  const file = failureFileOf(process.env);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, message);
}

try {
  await main(readContainer(process.env));
} catch (error) {
  if (error instanceof TrainingStopped) {
    log('stopped', { reason: error.message });
    // 128 + SIGTERM: the runner reads it as "asked to leave", not as a failure of the program.
    process.exitCode = 143;
  } else {
    writeFailure(error instanceof Error ? error.message : String(error));
    console.error(error);
    process.exitCode = 1;
  }
}
