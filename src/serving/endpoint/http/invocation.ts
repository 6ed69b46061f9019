import { randomUUID } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { backgroundTrafficMark, inferenceHeaders } from '../../../contracts/endpoint.ts';
import { HttpProblem, invalid } from './problem.ts';

/** Longer than SageMaker's 64, because labels join by this id and row ids (message ids) are longer. */
const maxIdLength = 256;

export type BodyFormat = { type: 'json' } | { type: 'csv'; header: boolean };

/** @throws HttpProblem 415 when the body is neither plain JSON nor plain CSV in UTF-8. */
export function readBodyFormat(headers: IncomingHttpHeaders): BodyFormat {
  const given = headers['content-type'] ?? '';
  if ((headers['content-encoding'] ?? 'identity') !== 'identity')
    throw unsupported('content-encoding: expected no compression');
  // What nearly everybody sends, without the cost of taking it apart.
  if (given === 'application/json') return { type: 'json' };
  const [type = '', ...parts] = given.toLowerCase().split(';');
  const parameters = new Map(
    parts.map((part) => {
      const [name = '', value = ''] = part.split('=', 2);
      return [name.trim(), value.trim().replaceAll('"', '')];
    }),
  );
  if ((parameters.get('charset') ?? 'utf-8') !== 'utf-8') throw unsupported('content-type: expected UTF-8');
  switch (type.trim()) {
    case 'application/json':
      return { type: 'json' };
    case 'text/csv': {
      const header = parameters.get('header') ?? 'absent';
      if (header !== 'present' && header !== 'absent')
        throw unsupported('content-type: expected header=present or header=absent');
      return { type: 'csv', header: header === 'present' };
    }
    default:
      throw unsupported('content-type: expected application/json or text/csv, in UTF-8');
  }
}

/** SageMaker's clients name one type, or `*∕*`; of several the first that we have. @throws HttpProblem 406 */
export function readAnswerFormat(headers: IncomingHttpHeaders): 'json' | 'csv' {
  const { accept } = headers;
  if (accept === undefined || accept === '*/*' || accept === 'application/json') return 'json';
  for (const part of accept.toLowerCase().split(',')) {
    const type = part.split(';', 1)[0]!.trim();
    if (type === 'text/csv') return 'csv';
    if (['', '*/*', 'application/*', 'application/json'].includes(type)) return 'json';
  }
  throw new HttpProblem(406, 'NotAcceptable', 'accept: there are application/json and text/csv');
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
  const attributes = headers[inferenceHeaders.customAttributes]?.toString();
  return attributes?.split(/[,;\s]+/).includes(backgroundTrafficMark) ?? false;
}

const unsupported = (message: string): HttpProblem => new HttpProblem(415, 'UnsupportedMediaType', message);
