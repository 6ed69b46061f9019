import type { InferenceSession } from 'onnxruntime-node';
import type { ModelSignature } from '../contracts/model.ts';
import { outputWidth } from './answers.ts';

interface EncodedInput {
  type: string;
  dims: readonly number[];
}

/** What is wrong with a signature by itself; undefined = nothing. */
export function signatureProblem({ task, labels }: ModelSignature): string | undefined {
  const wanted = { 'binary-classification': 'two', 'multiclass-classification': 'two or more', regression: 'no' }[task];
  const fits =
    task === 'regression'
      ? labels.length === 0
      : task === 'binary-classification'
        ? labels.length === 2
        : labels.length >= 2;
  if (!fits) return `labels: ${task} needs ${wanted} labels, the signature has ${labels.length}`;
  if (new Set(labels).size !== labels.length) return 'labels: expected distinct names';
  return undefined;
}

/**
 * Where graph and signature disagree; undefined = they fit. `encoded` are the inputs that the preprocessing makes of two
 * rows: two, so that a graph with a fixed batch of one is found here and not under load.
 */
export function graphProblem(
  signature: ModelSignature,
  inputs: readonly InferenceSession.ValueMetadata[],
  outputs: readonly InferenceSession.ValueMetadata[],
  encoded: Readonly<Record<string, EncodedInput>>,
): string | undefined {
  for (const input of inputs) {
    const made = Object.hasOwn(encoded, input.name) ? encoded[input.name] : undefined;
    if (!made)
      return `graph input "${input.name}" is not made by ${signature.preprocessing.kind} preprocessing, which makes ${quoted(Object.keys(encoded))}`;
    const problem = shapeProblem(input, made.type, made.dims);
    if (problem) return `graph input "${input.name}" ${problem}`;
  }
  const unread = Object.keys(encoded).filter((name) => !inputs.some((input) => input.name === name));
  if (unread.length > 0) return `the graph has no input ${quoted(unread)}, which the preprocessing makes`;
  const output = outputs.find(({ name }) => name === signature.output);
  if (!output)
    return `the graph has no output "${signature.output}", it has ${quoted(outputs.map(({ name }) => name))}`;
  const problem = shapeProblem(output, 'float32', [2, outputWidth(signature)]);
  return problem && `graph output "${signature.output}" ${problem}`;
}

function shapeProblem(
  value: InferenceSession.ValueMetadata,
  type: string,
  dims: readonly number[],
): string | undefined {
  const expected = `expected ${type}[${dims.join(', ')}] for two rows`;
  if (!value.isTensor) return `is not a tensor, ${expected}`;
  // A graph may leave a shape out; the first run then shows it.
  const shapeFits =
    value.shape.length === 0 ||
    (value.shape.length === dims.length &&
      value.shape.every((dim, axis) => typeof dim === 'string' || dim === dims[axis]));
  return value.type === type && shapeFits ? undefined : `is ${value.type}[${value.shape.join(', ')}], ${expected}`;
}

const quoted = (names: readonly string[]): string => names.map((name) => `"${name}"`).join(', ') || 'nothing';
