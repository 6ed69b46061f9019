import { z } from 'zod';
import { scheduleShapes } from '../../src/onnx/train/schedule.ts';
import { TrainingFailure } from '../text-classifier/failure.ts';
import { integer, number, real } from '../text-classifier/numbers.ts';

const names = z
  .string()
  .min(1)
  .transform((text) => text.split(',').map((name) => name.trim()));

export const modes = ['head', 'lora', 'full'] as const;
export type Mode = (typeof modes)[number];

const schema = z.strictObject({
  /** What is trained: a head on frozen features, low-rank adapters and a head, or everything. */
  mode: z.enum(modes).default('lora'),
  epochs: integer(1, 1_000, 3),
  batchSize: integer(1, 4_096, 16),
  /** Rows that go through the engine at once; by default the whole batch. Smaller: less memory, the same steps. */
  microBatchSize: integer(1, 4_096, 4_096),
  /** By default 1e-3 for a head, 5e-4 for lora, 3e-5 for full. */
  learningRate: number.pipe(z.number().min(0).max(1e38)).optional(),
  schedule: z.enum(scheduleShapes).default('linear'),
  /** Share of all steps in which the learning rate rises. */
  warmup: real(0, 1, 0.06),
  weightDecay: real(0, 10, 0.01),
  /** Gradients of a larger norm are scaled down to it. */
  maxGradientNorm: real(1e-6, 1e9, 1),
  /** Of LoRA. */
  rank: integer(1, 256, 8),
  alpha: real(1e-6, 4_096, 16),
  targets: names.default(['query', 'value']),
  /** Share of the pooled features that a step does not see. */
  dropout: real(0, 0.95, 0.1),
  labelSmoothing: real(0, 0.5, 0),
  /** 0: every row counts alike; 1: every class does. */
  classBalance: real(0, 1, 0),
  /** Share of the rows that is not trained on, to say when to stop; 0: none. */
  validation: real(0, 0.5, 0.1),
  /** Epochs without a lower validation loss until training stops; the best weights are kept. 0: never. */
  patience: integer(0, 1_000, 2),
  maxTokens: integer(8, 8_192, 128),
  seed: integer(0, 0xffffffff, 1),
  threads: integer(1, 256, 2),
  /** Text features, comma-separated; by default all text features of the first row. */
  features: names.optional(),
  /** For two classes: the one whose probability is the score; by default the last in sorted order. */
  positive: z.string().optional(),
  /** All classes, comma-separated; by default those of the rows. A row with another one is bad data. */
  classes: names.optional(),
  /** Where the base came from, for the adapter's card. */
  baseName: z.string().optional(),
  baseRevision: z.string().optional(),
  checkpointSeconds: real(0, 86_400, 30),
  progressSeconds: real(0, 86_400, 1),
});
export type Hyperparameters = z.output<typeof schema>;

/** What SageMaker adds for its own use; not ours to judge. */
const reserved = /^(sagemaker_|_tuning_)/;
/** Names that never belong to an object of data; a schema does not see `__proto__`. */
const forbidden = ['__proto__', 'constructor', 'prototype'];

/** @throws TrainingFailure that names the hyperparameter and what was expected. */
export function parseHyperparameters(given: Readonly<Record<string, unknown>>): Hyperparameters {
  const evil = forbidden.find((name) => Object.hasOwn(given, name));
  if (evil !== undefined) throw new TrainingFailure('userError', `hyperparameters: "${evil}" is no hyperparameter`);
  const own = Object.fromEntries(Object.entries(given).filter(([name]) => !reserved.test(name)));
  const parsed = schema.safeParse(own);
  if (parsed.success) return parsed.data;
  throw new TrainingFailure('userError', `hyperparameters: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`);
}

/** Those that decide about the weights; how often a run reports or saves does not. */
export function decisive({ checkpointSeconds: _c, progressSeconds: _p, ...rest }: Hyperparameters) {
  return rest;
}

const usualRates: Readonly<Record<Mode, number>> = { head: 1e-3, lora: 5e-4, full: 3e-5 };
export const learningRateOf = ({ learningRate, mode }: Hyperparameters): number => learningRate ?? usualRates[mode];
