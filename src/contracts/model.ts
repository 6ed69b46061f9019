import { z } from 'zod';

/**
 * How a model folder is served: `model.onnx` and this file, `signature.json`. The evaluator and the endpoint read rows
 * of named features, turn them into the graph's inputs as `preprocessing` says, and read `output`.
 */
export const HashedTextPreprocessing = z.strictObject({
  kind: z.literal('hashed-text'),
  /** Text features, joined in this order; each has its own hash namespace. */
  features: z.array(z.string().min(1)).min(1),
  /** Rows of the embedding table; token ids are below it, 0 is padding. */
  buckets: z
    .number()
    .int()
    .min(2)
    .max(2 ** 24),
  /** Longest token sequence per row; the rest is cut. */
  maxTokens: z.number().int().min(1).max(65_536),
  /** Longest word n-gram that gets an id of its own. */
  wordNgrams: z.number().int().min(1).max(5),
  /** Version of the tokenizer's rules; another version is refused, never guessed. */
  version: z.literal(1),
});
export const NumericPreprocessing = z.strictObject({
  kind: z.literal('numeric'),
  /** Columns of the `float32[batch, n]` input, in order. */
  features: z.array(z.string().min(1)).min(1),
});

export const ModelSignature = z.strictObject({
  schema: z.literal('goto3/signature/v1'),
  task: z.enum(['binary-classification', 'multiclass-classification', 'regression']),
  preprocessing: z.discriminatedUnion('kind', [HashedTextPreprocessing, NumericPreprocessing]),
  /** Class names by output index; for two classes the second is the positive one. Empty for regression. */
  labels: z.array(z.string()),
  /** Name of the graph output: `float32[batch, classes]` probabilities, or `float32[batch, 1]` values. */
  output: z.string().min(1),
});
export type ModelSignature = z.infer<typeof ModelSignature>;
export type HashedTextPreprocessing = z.infer<typeof HashedTextPreprocessing>;
export type NumericPreprocessing = z.infer<typeof NumericPreprocessing>;

export const modelFileName = 'model.onnx';
export const signatureFileName = 'signature.json';

/** One row's features as they come from data or from a request. */
export type FeatureRow = Record<string, string | number | boolean | null>;

/** What the model says about one row. */
export interface Prediction {
  /** Class name, or the value as text for regression. */
  label: string;
  /** Probability of the positive (binary) or predicted (multiclass) class; the value for regression. */
  score: number;
}
