import { ApplicationFailure } from '@temporalio/common';
import type { EvaluationRun } from '../../contracts/activities.ts';
import { failureTypes } from '../../contracts/failures.ts';
import { getJson } from '../../store/manifests.ts';
import type { Store } from '../../store/types.ts';
import { readLines, UnreadableLine } from '../data/lines.ts';
import type { DataRow } from '../data/rows.ts';
import { FileList } from '../train.ts';

/** What the user's evaluation program said about a model. */
export interface ProgramOutput {
  /** Numbers by name, for each row's id. All rows have the same names. */
  rows: Map<string, Record<string, number>>;
  /** `metrics.json`, where it wrote one. */
  metrics: Record<string, number>;
}

const longestLineBytes = 64 * 1024;
const mostMetricsBytes = 2 ** 20;
const mostValues = 64;
const namePattern = /^[A-Za-z][A-Za-z0-9_.-]{0,62}$/;

/**
 * Reads `outcomes.jsonl`, a line for each row of the hold-out: `{"id": "…", "loss": 0.3, "late": 1}`, and `metrics.json`.
 * Throws `BadEvaluation`, which names the file, the line and what was expected, with the last lines of the program: a row
 * that is missing, that comes twice or that has half of its numbers is no evaluation.
 */
export async function readProgramOutput(
  store: Store,
  run: EvaluationRun,
  holdout: readonly DataRow[],
): Promise<ProgramOutput> {
  const files = await getJson(store, FileList, run.output);
  const refuse = (problem: string): ApplicationFailure => badEvaluation(run, problem);
  const fileOf = (name: string) => files.find(({ path }) => path === name);
  const outcomes = fileOf('outcomes.jsonl');
  if (!outcomes) throw refuse('outcomes.jsonl: expected in SM_OUTPUT_DATA_DIR, it is missing');
  const reader = new OutcomeReader(holdout);
  try {
    for await (const { text, number } of readLines(await store.blobs.get(outcomes.digest), longestLineBytes)) {
      const problem = reader.add(text);
      if (problem !== undefined) throw refuse(`outcomes.jsonl, line ${number}: ${problem}`);
    }
  } catch (error) {
    throw error instanceof UnreadableLine ? refuse(`outcomes.jsonl: ${error.message}`) : error;
  }
  const missing = holdout.filter(({ id }) => !reader.rows.has(id));
  if (missing.length > 0)
    throw refuse(
      `outcomes.jsonl: ${missing.length} of ${holdout.length} rows are missing, the first one is ${quoted(missing[0]!.id)}`,
    );
  const metrics = fileOf('metrics.json');
  if (!metrics) return { rows: reader.rows, metrics: {} };
  if (metrics.sizeBytes > mostMetricsBytes) throw refuse(`metrics.json: expected at most ${mostMetricsBytes} bytes`);
  const parsed = numbersOf(Buffer.from(await store.blobs.read(metrics.digest)).toString('utf8'));
  if (typeof parsed === 'string') throw refuse(`metrics.json: ${parsed}`);
  return { rows: reader.rows, metrics: parsed };
}

export const badEvaluation = ({ job, lastLines }: EvaluationRun, problem: string): ApplicationFailure =>
  ApplicationFailure.nonRetryable(
    `the evaluation program (${job}) left what cannot be judged: ${problem}${lastLines === '' ? '' : `; its last lines: ${lastLines}`}`,
    failureTypes.badEvaluation,
  );

class OutcomeReader {
  readonly rows = new Map<string, Record<string, number>>();
  private readonly expected: ReadonlySet<string>;
  private names: string[] | undefined;

  constructor(holdout: readonly DataRow[]) {
    this.expected = new Set(holdout.map(({ id }) => id));
  }

  /** What is wrong with a line; its content is never quoted, it may be somebody's mail. */
  add(text: string): string | undefined {
    const value = parse(text);
    if (value === undefined) return 'expected a JSON object (NaN and Infinity are none)';
    const { id, ...rest } = value;
    if (typeof id !== 'string') return 'id: expected text';
    if (!this.expected.has(id)) return `id: ${quoted(id)} is no row of the hold-out`;
    if (this.rows.has(id)) return `id: ${quoted(id)} comes twice`;
    const numbers = asNumbers(rest);
    if (typeof numbers === 'string') return numbers;
    const names = Object.keys(numbers).sort();
    this.names ??= names;
    if (names.length === 0) return 'expected at least one number beside id';
    const odd = this.names.find((name) => !names.includes(name)) ?? names.find((name) => !this.names!.includes(name));
    if (odd !== undefined)
      return names.includes(odd)
        ? `${odd}: the rows before have no such number`
        : `${odd}: missing; the rows before have it`;
    this.rows.set(id, numbers);
    return undefined;
  }
}

function numbersOf(text: string): Record<string, number> | string {
  const value = parse(text);
  return value === undefined ? 'expected a JSON object (NaN and Infinity are none)' : asNumbers(value);
}

/** Numbers by name, or what is wrong. Yes and no are 1 and 0. */
function asNumbers(value: Record<string, unknown>): Record<string, number> | string {
  const entries = Object.entries(value);
  if (entries.length > mostValues) return `expected at most ${mostValues} numbers, there are ${entries.length}`;
  const numbers: Record<string, number> = {};
  for (const [name, written] of entries) {
    if (!namePattern.test(name)) return `expected names of letters, digits, "_", "." and "-", got ${quoted(name)}`;
    const number = typeof written === 'boolean' ? Number(written) : written;
    if (typeof number !== 'number' || !Number.isFinite(number)) return `${name}: expected a finite number`;
    numbers[name] = number;
  }
  return numbers;
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

const quoted = (text: string): string => JSON.stringify(text.slice(0, 64));
