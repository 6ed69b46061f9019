import type { FeatureRow, Prediction } from '../../../contracts/model.ts';
import type { FeatureValue, InputRow } from '../../features/rows.ts';
import { parseCsv } from './csv.ts';
import type { BodyFormat } from './invocation.ts';
import { HttpProblem, invalid } from './problem.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * A body's rows: of JSON as `InvocationBody` says (written out by hand, for every request passes here), of CSV one row a
 * line, as SageMaker's built-in algorithms take them, without the label.
 * @throws HttpProblem 400 that names the field, 413 for too many rows
 */
export function decodeRows(body: Uint8Array, format: BodyFormat, maxRows: number): InputRow[] {
  let text: string;
  try {
    text = utf8.decode(body);
  } catch {
    throw invalid('body: expected UTF-8');
  }
  return format.type === 'csv' ? csvRows(text, format.header, maxRows) : jsonRows(text, maxRows);
}

function csvRows(text: string, header: boolean, maxRows: number): InputRow[] {
  const lines = parseCsv(text, maxRows + Number(header), () => tooManyRows(maxRows, `more than ${maxRows}`));
  const columns = header ? (lines.shift()?.map((name) => name.trim()) ?? []) : null;
  if (lines.length === 0) throw invalid('body: expected at least one line of CSV');
  return lines.map((values) => ({ values, columns }));
}

function jsonRows(text: string, maxRows: number): InputRow[] {
  const json = parse(text);
  if (!isObject(json)) throw invalid('body: expected one row {"feature": value, …} or {"instances": [row, …]}');
  const { instances } = json;
  if (!Object.hasOwn(json, 'instances') || !Array.isArray(instances)) return [rowOf(json, 'body')];
  const other = Object.keys(json).find((name) => name !== 'instances');
  if (other !== undefined)
    throw invalid(`body: beside "instances", ${JSON.stringify(other.slice(0, 64))} is not known`);
  if (instances.length === 0) throw invalid('body.instances: expected at least one row');
  if (instances.length > maxRows) throw tooManyRows(maxRows, String(instances.length));
  return instances.map((row: unknown, index) => rowOf(row, `body.instances[${index}]`));
}

function rowOf(row: unknown, where: string): InputRow {
  if (!isObject(row)) throw invalid(`${where}: expected a row {"feature": value, …} or {"features": [value, …]}`);
  const names = Object.keys(row);
  if (names.length === 1 && Array.isArray(row.features)) {
    for (const [place, value] of row.features.entries())
      if (!isValue(value)) throw notAValue(`${where}.features[${place}]`);
    return { values: row.features as FeatureValue[], columns: null };
  }
  for (const name of names) if (!isValue(row[name])) throw notAValue(`${where}.${name.slice(0, 64)}`);
  return row as FeatureRow;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw invalid(text.trim() === '' ? 'body: expected JSON, it is empty' : 'body: expected JSON');
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
/** JSON has no other numbers than finite ones, but 1e999 reads as infinity. */
const isValue = (value: unknown): value is FeatureValue =>
  typeof value === 'string' || value === null || typeof value === 'boolean' || Number.isFinite(value);

const notAValue = (where: string): HttpProblem => invalid(`${where}: expected a string, number, boolean or null`);
const tooManyRows = (maxRows: number, got: string): HttpProblem =>
  new HttpProblem(413, 'TooManyRows', `instances: expected at most ${maxRows} rows, got ${got}`);

/** `value` of a regression, `label,score` of a classification: one line a row. */
export const csvAnswers = (predictions: readonly Prediction[]): string =>
  predictions
    .map(({ label, score }) => `${label === String(score) ? label : `${csvField(label)},${score}`}\n`)
    .join('');

const csvField = (text: string): string => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
