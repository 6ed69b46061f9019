import { StoreUnavailable } from '../errors.ts';

/** What the SDK's errors carry, as far as it is there. */
interface SdkError {
  name?: string;
  message?: string;
  code?: string;
  $metadata?: { httpStatusCode?: number; requestId?: string };
  $response?: { headers?: Record<string, string> };
}

const sdk = (error: unknown): SdkError => (typeof error === 'object' && error !== null ? (error as SdkError) : {});

export const statusOf = (error: unknown): number | undefined => sdk(error).$metadata?.httpStatusCode;
export const nameOf = (error: unknown): string => sdk(error).name ?? '';

/** The object or upload is not there. A missing bucket is 404 too, and something else; HEAD has no code but the status. */
export const isMissing = (error: unknown): boolean =>
  statusOf(error) === 404 && ['NoSuchKey', 'NoSuchUpload', 'NotFound'].includes(nameOf(error));
/** `If-None-Match` or `If-Match` did not hold. */
export const isPreconditionFailed = (error: unknown): boolean => statusOf(error) === 412;
/** Another write to this key was under way: nothing is decided, ask again (S3 API, "Conditional writes"). */
export const isConflict = (error: unknown): boolean => statusOf(error) === 409;

/** Node's code for "not there": what the logs' code understands. */
export const missingFile = (where: string): Error => Object.assign(new Error(`ENOENT: ${where}`), { code: 'ENOENT' });

const unknownKey = 'the server does not know this access key: check AWS_ACCESS_KEY_ID or AWS_PROFILE';

/** What a person must change, by S3's error code or the SDK's error name. */
const adviceOf: Record<string, string> = {
  AccessDenied:
    'allow s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload on the prefix and s3:ListBucket on the bucket (docs/aws.md), and see that the bucket is of the expected owner',
  InvalidAccessKeyId: unknownKey,
  // versitygw's word for it.
  XAdminUserNotFound: unknownKey,
  SignatureDoesNotMatch: 'the secret key is not that of the access key: check AWS_SECRET_ACCESS_KEY or AWS_PROFILE',
  ExpiredToken: 'the credentials have expired: renew the session; the next try takes the new ones',
  CredentialsProviderError:
    'no credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role',
  NoSuchBucket: 'there is no such bucket: create it, or correct the store address',
  RequestTimeTooSkewed: 'the clock of this machine is wrong: set it',
  'KMS.DisabledException': 'the KMS key is disabled: enable it, or set another kmsKey',
};

/**
 * The error that callers get: what cannot be done, where, and what to change. The SDK's own error is not passed on: it
 * may hold the access key's id and the signed request.
 */
export function typedFailure(error: unknown, operation: string, where: string): Error {
  const { name = 'Error', message = String(error), code, $metadata, $response } = sdk(error);
  if (name === 'StoreUnavailable' || name === 'InvalidInput') return error as Error;
  const status = $metadata?.httpStatusCode;
  const label = name === 'Error' && code !== undefined ? code : name;
  // HEAD has no body, so its errors have no code of their own.
  const known = status === 403 && adviceOf[label] === undefined ? 'AccessDenied' : label;
  const cause = new Error(`${label}: ${message}${$metadata?.requestId ? ` (request ${$metadata.requestId})` : ''}`);
  return new StoreUnavailable(
    known,
    operation,
    where,
    cause,
    regionAdvice($response, status, message) ?? adviceOf[known],
  );
}

function regionAdvice(
  response: SdkError['$response'],
  status: number | undefined,
  message: string,
): string | undefined {
  if (/region is missing/i.test(message)) return "set AWS_REGION, or the store's region in goto3.yaml";
  const region = response?.headers?.['x-amz-bucket-region'];
  if ((status === 301 || status === 400) && region)
    return `the bucket is in ${region}: set AWS_REGION=${region}, or the store's region in goto3.yaml`;
  return /region/i.test(message) ? "set AWS_REGION, or the store's region in goto3.yaml, to the bucket's" : undefined;
}
