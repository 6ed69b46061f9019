import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { TrainingFailure } from './failure.ts';

/**
 * Where a training program finds its input and leaves its output: the SageMaker container contract. The training toolkit
 * and our runners set `SM_*`; a bare SageMaker image has only the files under /opt/ml, so those are the fallback.
 */
export interface Container {
  /** Folder of the `train` channel. */
  train: string;
  /** Folder of the `base` channel: the champion to start from. */
  base: string | undefined;
  hyperparameters: Record<string, unknown>;
  modelFolder: string;
  /** Extra results: metrics. */
  dataFolder: string;
  failureFile: string;
  checkpointFolder: string;
}

export function readContainer(env: NodeJS.ProcessEnv): Container {
  const input = env.SM_INPUT_DIR ?? '/opt/ml/input';
  const channel = (name: string) => env[`SM_CHANNEL_${name.toUpperCase()}`] ?? join(input, 'data', name);
  const base = channel('base');
  const output = env.SM_OUTPUT_DIR ?? '/opt/ml/output';
  return {
    train: channel('train'),
    base: existsSync(base) ? base : undefined,
    hyperparameters: readHyperparameters(env.SM_HPS, join(input, 'config', 'hyperparameters.json')),
    modelFolder: env.SM_MODEL_DIR ?? '/opt/ml/model',
    dataFolder: env.SM_OUTPUT_DATA_DIR ?? join(output, 'data'),
    failureFile: failureFileOf(env),
    checkpointFolder: env.SM_CHECKPOINT_DIR ?? '/opt/ml/checkpoints',
  };
}

export const failureFileOf = (env: NodeJS.ProcessEnv): string => join(env.SM_OUTPUT_DIR ?? '/opt/ml/output', 'failure');

function readHyperparameters(variable: string | undefined, file: string): Record<string, unknown> {
  const text = variable ?? (existsSync(file) ? readFileSync(file, 'utf8') : '{}');
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  } catch {
    // Told below, with what was expected.
  }
  throw new TrainingFailure('userError', 'hyperparameters: expected a JSON object');
}
