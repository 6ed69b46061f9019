import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InferenceSession, Tensor } from 'onnxruntime-node';
import { z } from 'zod';
import { ModelSignature, modelFileName, type Prediction, signatureFileName } from '../contracts/model.ts';
import { readAnswers } from './answers.ts';
import { ServingError, servingErrors, toErrorMessage } from './errors.ts';
import { encoderOf, type FeatureEncoder, type InputRow } from './features/encode.ts';
import { graphProblem, signatureProblem } from './graph-check.ts';

/** One loaded model in the current thread. `predict` blocks that thread while ONNX Runtime runs (measured, 1.30). */
export interface Predictor {
  readonly signature: ModelSignature;
  /**
   * Answers in the order of the rows.
   * @throws ServingError `InvalidInput` when a row does not fit the signature, `PredictionFailed` when the graph fails.
   */
  predict(rows: readonly InputRow[]): Promise<Prediction[]>;
  close(): Promise<void>;
}

/** Rows of one `run`: enough to spread its fixed cost, few enough that padding to the longest row stays small. */
const rowsPerRun = 64;

const sessionOptions: InferenceSession.SessionOptions = {
  executionProviders: ['cpu'],
  // A thread per model, and the machine is shared with training: no pool of its own, no busy waiting between requests.
  intraOpNumThreads: 1,
  interOpNumThreads: 1,
  executionMode: 'sequential',
  logSeverityLevel: 4,
  extra: {
    session: {
      // Without it, U8S8 kernels on a CPU with AVX2 but no VNNI saturate and answer wrongly (quantization-and-serving.md §0).
      x64quantprecision: '1',
      intra_op: { allow_spinning: '0' },
      inter_op: { allow_spinning: '0' },
    },
  },
};

/**
 * Loads `model.onnx` and `signature.json` of a folder, checks that they fit each other, and answers two neutral rows.
 * @throws ServingError `ModelNotServable` that says what does not fit.
 */
export async function loadPredictor(modelFolder: string): Promise<Predictor> {
  const signature = await readSignature(modelFolder);
  const session = await createSession(modelFolder);
  const model = { session, signature, encoder: encoderOf(signature.preprocessing) };
  const { encoder } = model;
  const predictor = {
    signature,
    predict: (rows: readonly InputRow[]) => predict(model, rows),
    close: () => session.release(),
  };
  try {
    const rows = [encoder.neutralRow, encoder.neutralRow];
    const encoded = encoder.encode(rows);
    const problem = graphProblem(signature, session.inputMetadata, session.outputMetadata, encoded);
    if (problem) throw notServable(problem);
    await predictor.predict(rows);
    return predictor;
  } catch (error) {
    await session.release();
    throw error instanceof ServingError && error.type === servingErrors.modelNotServable
      ? error
      : notServable(`the model fails on a neutral row: ${messageOf(error)}`, error);
  }
}

async function readSignature(modelFolder: string): Promise<ModelSignature> {
  const text = await readModelFile(modelFolder, signatureFileName);
  let parsed: unknown;
  try {
    parsed = JSON.parse(text.toString('utf8'));
  } catch (error) {
    throw notServable(`${signatureFileName} is not JSON: ${messageOf(error)}`, error);
  }
  const signature = ModelSignature.safeParse(parsed);
  if (!signature.success) throw notServable(`${signatureFileName}: ${z.prettifyError(signature.error)}`);
  const problem = signatureProblem(signature.data);
  if (problem) throw notServable(`${signatureFileName}: ${problem}`);
  return signature.data;
}

/** From bytes, not from the path: ONNX Runtime then has no folder in which a model's external data could be found. */
async function createSession(modelFolder: string): Promise<InferenceSession> {
  const bytes = await readModelFile(modelFolder, modelFileName);
  try {
    return await InferenceSession.create(bytes, sessionOptions);
  } catch (error) {
    throw notServable(`${modelFileName} does not load: ${messageOf(error)}`, error);
  }
}

async function readModelFile(modelFolder: string, name: string): Promise<Buffer> {
  try {
    return await readFile(join(modelFolder, name));
  } catch (error) {
    throw notServable(
      `the model has no readable ${name}: ${(error as NodeJS.ErrnoException).code ?? messageOf(error)}`,
      error,
    );
  }
}

interface LoadedModel {
  session: InferenceSession;
  signature: ModelSignature;
  encoder: FeatureEncoder;
}

async function predict(model: LoadedModel, rows: readonly InputRow[]): Promise<Prediction[]> {
  const answers: Prediction[] = [];
  for (let start = 0; start < rows.length; start += rowsPerRun) {
    const some = rows.slice(start, start + rowsPerRun);
    try {
      const output = await run(model, some);
      answers.push(...readAnswers(model.signature, output, some.length));
    } catch (error) {
      if (start === 0) throw error;
      const { type, message } = toErrorMessage(error);
      throw new ServingError(type, `after the first ${start} rows: ${message}`, { cause: error });
    }
  }
  return answers;
}

async function run({ session, signature, encoder }: LoadedModel, rows: readonly InputRow[]): Promise<Tensor> {
  const encoded = Object.entries(encoder.encode(rows));
  const feeds = Object.fromEntries(
    encoded.map(([name, { type, data, dims }]) => [name, new Tensor(type, data, dims) as Tensor]),
  );
  try {
    const outputs = await session.run(feeds, [signature.output]);
    return outputs[signature.output]!;
  } catch (error) {
    throw new ServingError(servingErrors.predictionFailed, `the model failed: ${messageOf(error)}`, { cause: error });
  }
}

const notServable = (message: string, cause?: unknown): ServingError =>
  new ServingError(servingErrors.modelNotServable, message, { cause });
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
