import { z } from 'zod';
import { TrainingFailure } from './failure.ts';
import { integer, real } from './numbers.ts';

const schema = z.strictObject({
  /** Passes over the rows; with a base model `warmEpochs`, because it knows most of them already. */
  epochs: integer(1, 1_000, 6),
  warmEpochs: integer(1, 1_000, 3),
  batchSize: integer(1, 4_096, 32),
  learningRate: real(0, 1e38, 0.003),
  weightDecay: real(0, 10, 0),
  /** Share of a row's target that goes to all classes alike: the model stays unsure enough to learn on. */
  labelSmoothing: real(0, 0.5, 0.05),
  /** 0: every row counts alike; 1: every class does. Between, because the mix of classes drifts too. */
  classBalance: real(0, 1, 0.5),
  /** Share of each row's tokens that a step does not see, so that no single word carries a verdict. */
  tokenDropout: real(0, 0.95, 0.5),
  /** A token in fewer rows than this is not learned. */
  minRows: integer(1, 1_000, 2),
  seed: integer(0, 0xffffffff, 1),
  buckets: integer(2, 2 ** 24, 131_072),
  maxTokens: integer(1, 65_536, 4_096),
  wordNgrams: integer(1, 5, 2),
  /** Width of an embedding and of the hidden layer. */
  dimensions: integer(1, 1_024, 8),
  hidden: integer(1, 4_096, 16),
  /** Text features, comma-separated; by default all text features of the first row. */
  features: z.string().min(1).optional(),
  /** For two classes: the one whose probability is the score; by default the last in sorted order. */
  positive: z.string().optional(),
  checkpointSeconds: real(0, 86_400, 5),
  progressSeconds: real(0, 86_400, 0.5),
});
export type Hyperparameters = z.output<typeof schema>;

/** What SageMaker adds for its own use; not ours to judge. */
const reserved = /^(sagemaker_|_tuning_)/;

/** @throws TrainingFailure that names the hyperparameter and what was expected. */
export function parseHyperparameters(given: Readonly<Record<string, unknown>>): Hyperparameters {
  const own = Object.fromEntries(Object.entries(given).filter(([name]) => !reserved.test(name)));
  const parsed = schema.safeParse(own);
  if (parsed.success) return parsed.data;
  throw new TrainingFailure('userError', `hyperparameters: ${z.prettifyError(parsed.error).replaceAll('\n', ' ')}`);
}

/** Those that decide about the weights; how often a run reports or saves does not. */
export function decisive({ checkpointSeconds: _c, progressSeconds: _p, ...rest }: Hyperparameters) {
  return rest;
}
