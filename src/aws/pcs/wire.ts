import { Sha256 } from '@aws-crypto/sha256-js';
import { HttpRequest } from '@smithy/protocol-http';
import { SignatureV4 } from '@smithy/signature-v4';
import type { AwsCredentialIdentity } from '@smithy/types';
import { z } from 'zod';
import type { Operation } from './inputs.ts';
import { type Output, outputs } from './outputs.ts';
import { type ErrorMetadata, PCSServiceException, serviceError } from './service-errors.ts';

/**
 * awsJson 1.0, as the model of PCS says: everything is in the body, also what it binds to a query or a header elsewhere
 * (smithy.io, "AWS JSON 1.0 protocol"). What is signed is what botocore signs: content-type, host, date, target, and the
 * session token; so that the two can be held against each other byte for byte.
 */
export async function signedRequest(
  call: { operation: Operation; body: string },
  to: { endpoint: URL; region: string; credentials: AwsCredentialIdentity; at: Date },
): Promise<HttpRequest> {
  const { endpoint } = to;
  const request = new HttpRequest({
    method: 'POST',
    protocol: endpoint.protocol,
    hostname: endpoint.hostname.replace(/^\[|\]$/g, ''),
    ...(endpoint.port && { port: Number(endpoint.port) }),
    path: endpoint.pathname,
    headers: {
      host: endpoint.host,
      'content-type': 'application/x-amz-json-1.0',
      'x-amz-target': `AWSParallelComputingService.${call.operation}`,
    },
    body: call.body,
  });
  const signer = new SignatureV4({
    service: 'pcs',
    region: to.region,
    credentials: to.credentials,
    sha256: Sha256,
    applyChecksum: false,
  });
  return HttpRequest.clone(await signer.sign(request, { signingDate: to.at }));
}

export interface Answer {
  statusCode: number;
  headers: Readonly<Record<string, string>>;
  text: string;
}

/** Pure. @throws PCSServiceException, also for an answer that is not one of PCS */
export function readAnswer<O extends Operation>(
  operation: O,
  { statusCode, headers, text }: Answer,
): Output<O> & { $metadata: ErrorMetadata } {
  const requestId = headers['x-amzn-requestid'];
  const $metadata: ErrorMetadata = { httpStatusCode: statusCode, ...(requestId && { requestId }) };
  const body = objectIn(text);
  if (statusCode !== 200) throw errorIn(body ?? {}, headers, $metadata);
  const parsed = outputs[operation].safeParse(body);
  if (parsed.success) return { ...(parsed.data as Output<O>), $metadata };
  const why = body === undefined ? 'is no JSON object' : z.prettifyError(parsed.error);
  throw new PCSServiceException('UnreadableAnswer', `${operation}: the answer ${why}`, $metadata);
}

/** `__type` may carry a namespace before `#` and a URL after `:` (awsJson 1.0, "Operation error serialization"). */
function errorIn(
  body: Record<string, unknown>,
  headers: Answer['headers'],
  metadata: ErrorMetadata,
): PCSServiceException {
  const said = [body.__type, headers['x-amzn-errortype'], body.code].find((each) => typeof each === 'string');
  // What stands before a service answers without its words: 429 is a throttle whoever says it.
  const unsaid = metadata.httpStatusCode === 429 ? 'ThrottlingException' : `Http${metadata.httpStatusCode}`;
  const code = said?.replace(/:.*$/s, '').replace(/^.*#/s, '') || unsaid;
  const message = [body.message, body.Message].find((each) => typeof each === 'string') ?? 'no message';
  const retryAfter = Number(headers['retry-after'] || Number.NaN);
  return serviceError(code, message, metadata, {
    ...(Number.isFinite(retryAfter) && { retryAfterSeconds: retryAfter }),
    ...body,
  });
}

/** No body at all is an empty answer: the deletes are described so. */
function objectIn(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text.trim() || '{}');
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
