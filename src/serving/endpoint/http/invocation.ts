import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { backgroundTrafficMark, InvocationBody, inferenceHeaders } from '../../../contracts/endpoint.ts';
import type { FeatureRow } from '../../../contracts/model.ts';
import { HttpProblem, invalid } from './problem.ts';

/** Longer than SageMaker's 64, because labels join by this id and row ids (message ids) are longer. */
const maxIdLength = 256;

const [Instances, SingleRow] = InvocationBody.options;
const utf8 = new TextDecoder('utf-8', { fatal: true });

/** @throws HttpProblem 415 when the body is not plain JSON in UTF-8. */
export function requireJson(headers: IncomingHttpHeaders): void {
  const [type = '', ...parameters] = (headers['content-type'] ?? '').toLowerCase().split(';');
  const charset = parameters
    .map((parameter) => /^\s*charset\s*=\s*"?([^"\s]*)"?\s*$/.exec(parameter)?.[1])
    .find(Boolean);
  if (type.trim() !== 'application/json' || (charset !== undefined && charset !== 'utf-8'))
    throw unsupported('content-type: expected application/json in UTF-8');
  if ((headers['content-encoding'] ?? 'identity') !== 'identity')
    throw unsupported('content-encoding: expected no compression');
}

/** @throws HttpProblem 400 that names the header. */
export function readInferenceId(headers: IncomingHttpHeaders): string {
  const given = headers[inferenceHeaders.inferenceId];
  if (given === undefined) return randomUUID();
  if (
    typeof given !== 'string' ||
    !/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(given) ||
    given.length > maxIdLength
  )
    throw invalid(`${inferenceHeaders.inferenceId}: expected 1 to ${maxIdLength} printable ASCII characters`);
  return given;
}

export function readTargetVariant(headers: IncomingHttpHeaders): string | undefined {
  return headers[inferenceHeaders.targetVariant]?.toString();
}

export function isBackground(headers: IncomingHttpHeaders): boolean {
  const attributes = headers[inferenceHeaders.customAttributes]?.toString() ?? '';
  return attributes.split(/[,;\s]+/).includes(backgroundTrafficMark);
}

/** @throws HttpProblem 400 that names the field, 413 for too many rows. */
export function decodeRows(body: Uint8Array, maxRows: number): FeatureRow[] {
  const json = parse(body);
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw invalid('body: expected one row {"feature": value, …} or {"instances": [row, …]}');
  if (!('instances' in json) || !Array.isArray(json.instances)) return [decode(SingleRow, json)];
  if (json.instances.length > maxRows)
    throw new HttpProblem(
      413,
      'TooManyRows',
      `instances: expected at most ${maxRows} rows, got ${json.instances.length}`,
    );
  return decode(Instances, json).instances;
}

function parse(body: Uint8Array): unknown {
  let text: string;
  try {
    text = utf8.decode(body);
  } catch {
    throw invalid('body: expected UTF-8');
  }
  try {
    return JSON.parse(text);
  } catch {
    throw invalid(text.trim() === '' ? 'body: expected JSON, it is empty' : 'body: expected JSON');
  }
}

function decode<T>(schema: { safeParse(value: unknown): SafeParse<T> }, json: unknown): T {
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const where = issue.path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step).slice(0, 64)}`))
    .join('');
  const isValue = issue.code === 'invalid_union';
  throw invalid(`body${where}: ${isValue ? 'expected a string, number, boolean or null' : issue.message}`);
}

type SafeParse<T> =
  | { success: true; data: T }
  | { success: false; error: { issues: { code?: string; path: PropertyKey[]; message: string }[] } };

const unsupported = (message: string): HttpProblem => new HttpProblem(415, 'UnsupportedMediaType', message);
