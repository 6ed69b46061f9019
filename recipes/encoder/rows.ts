import { createHash } from 'node:crypto';
import type { TextTokenizer } from '../../src/onnx/encoder/tokenizer.ts';
import { TrainingFailure } from '../text-classifier/failure.ts';
import { classesOf, featuresOf, readRows, type TrainingRow } from '../text-classifier/rows.ts';
import type { Hyperparameters } from './hyperparameters.ts';

export interface TrainingData {
  readonly rows: readonly TrainingRow[];
  /** In output order. */
  readonly classes: readonly string[];
  /** Class index of each row. */
  readonly labels: Int32Array;
  /** Token ids of each row, special tokens included, and how many they are. */
  readonly ids: readonly number[][];
  readonly lengths: Int32Array;
  /** Rows to train on and rows to validate on. */
  readonly trained: Int32Array;
  readonly validated: Int32Array;
}

/** @throws TrainingFailure `badData` that names what is wrong, and where. */
export async function readTrainingRows(
  folder: string,
  tokenizer: TextTokenizer,
  hyperparameters: Hyperparameters,
): Promise<TrainingData> {
  const rows = await readRows(folder);
  const classes = classNames(rows, hyperparameters);
  const features = featuresOf(rows, hyperparameters.features?.join());
  const ids = rows.map((row) => tokenIds(textOf(row, features), tokenizer, hyperparameters.maxTokens));
  const all = Int32Array.from(rows.keys());
  const isValidated = rows.map(({ id }) => shareOf(id) < hyperparameters.validation);
  const trained = all.filter((row) => !isValidated[row]);
  if (trained.length === 0) throw new TrainingFailure('badData', `all ${rows.length} rows fell to the validation`);
  return {
    rows,
    classes,
    labels: Int32Array.from(rows, ({ label }) => classes.indexOf(label)),
    ids,
    lengths: Int32Array.from(ids, (row) => row.length),
    trained,
    validated: all.filter((row) => isValidated[row]),
  };
}

function classNames(rows: readonly TrainingRow[], { classes, positive }: Hyperparameters): string[] {
  if (classes === undefined) return classesOf(rows, positive);
  const outside = rows.filter(({ label }) => !classes.includes(label));
  if (outside.length > 0) {
    const [first] = outside as [TrainingRow];
    throw new TrainingFailure(
      'badData',
      `${outside.length} of ${rows.length} rows have a label outside ${classes.join(', ')}: row "${first.id}" has "${first.label}"`,
    );
  }
  classesOf(rows, positive); // refuses rows of one class
  return positive === undefined ? [...classes] : [...classes.filter((name) => name !== positive), positive];
}

/** The text features of a row, one behind the other. */
function textOf({ id, features }: TrainingRow, names: readonly string[]): string {
  return names
    .map((name) => {
      const text = Object.hasOwn(features, name) ? features[name] : undefined;
      if (typeof text !== 'string') throw new TrainingFailure('badData', `row "${id}": feature "${name}" is no text`);
      return text;
    })
    .join('\n');
}

/** Cut as the tokenizer would, which keeps the last special token. */
function tokenIds(text: string, tokenizer: TextTokenizer, maxTokens: number): number[] {
  const ids = tokenizer.encode(text);
  return ids.length <= maxTokens ? ids : [...ids.slice(0, maxTokens - 1), ids.at(-1)!];
}

/** A number in [0, 1) that follows from a row's id alone, so that a row stays on its side when others come. */
const shareOf = (id: string): number =>
  createHash('sha256').update(`validation ${id}`).digest().readUInt32LE(0) / 2 ** 32;
