import type { Encoder } from '../../src/onnx/encoder/folder.ts';
import { OnnxError } from '../../src/onnx/error.ts';
import type { Model } from '../../src/onnx/model.ts';
import { type Adapter, addAdapters, type LoraOptions } from '../../src/onnx/train/lora.ts';
import { TrainingFailure } from '../text-classifier/failure.ts';
import { randomStream } from '../text-classifier/random.ts';
import { classifierLoss, type Head, headNames, headOnFeatures } from './graphs.ts';
import type { Hyperparameters } from './hyperparameters.ts';

/** The forward graph of a mode and what of it is trained. */
export interface Setup {
  readonly forward: Model;
  readonly trainable: readonly string[];
  readonly lora: { readonly adapters: readonly Adapter[]; readonly options: LoraOptions } | undefined;
}

/** @throws TrainingFailure `userError` for LoRA targets that the encoder does not have. */
export function setUp(encoder: Encoder, classes: number, hyperparameters: Hyperparameters): Setup {
  const { mode, seed, rank, alpha, targets } = hyperparameters;
  const { hiddenSize } = encoder.config;
  const head = startHead(hiddenSize, classes, seed);
  const ofHead = [headNames.weight, headNames.bias];
  if (mode === 'head')
    return { forward: headOnFeatures(head, hiddenSize, classes), trainable: ofHead, lora: undefined };
  const forward = classifierLoss(encoder, head, { classes, pooling: encoder.pooling.pooling });
  if (mode === 'full') return { forward, trainable: weightNames(forward), lora: undefined };
  const options = { rank, alpha, targets };
  try {
    const { model, adapters } = addAdapters(forward, options, randomStream(seed, 7));
    return {
      forward: model,
      trainable: [...ofHead, ...adapters.flatMap(({ a, b }) => [a, b])],
      lora: { adapters, options },
    };
  } catch (error) {
    if (error instanceof OnnxError) throw new TrainingFailure('userError', error.message, { cause: error });
    throw error;
  }
}

/** Scalars and integers are the graph's own constants. */
const weightNames = ({ graph }: Model): string[] =>
  graph.initializers.filter(({ type, dims }) => type === 'float32' && dims.length > 0).map(({ name }) => name);

/** Uniform in ±1/√hidden, as PyTorch draws a linear layer; bias 0. */
function startHead(hiddenSize: number, classes: number, seed: number): Head {
  const random = randomStream(seed, 1);
  const limit = 1 / Math.sqrt(hiddenSize);
  const weight = Float32Array.from({ length: hiddenSize * classes }, () => (2 * random() - 1) * limit);
  return { weight, bias: new Float32Array(classes) };
}
