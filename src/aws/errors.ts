import { failureTypes } from '../contracts/failures.ts';

/** AWS throttles, is down or cannot be reached. Nothing was half done; a retry may succeed. */
export class AwsUnavailable extends Error {
  override readonly name = 'AwsUnavailable';
  readonly type = failureTypes.awsUnavailable;
}

/** AWS says no, and will until a person changes something; the message says what. */
export class AwsRefused extends Error {
  override readonly name = 'AwsRefused';
  readonly type = failureTypes.awsRefused;
}

/**
 * `throttled`: slower, then again. `expired`: with new credentials. `unavailable`: again, later. `notFound`, `inUse`, `quota`
 * (ResourceLimitExceeded), `conflict`: the caller decides. `refused`: a person decides.
 */
export type AwsErrorKind =
  | 'throttled'
  | 'expired'
  | 'unavailable'
  | 'notFound'
  | 'inUse'
  | 'quota'
  | 'conflict'
  | 'refused';

/** Common error codes: https://docs.aws.amazon.com/sagemaker/latest/APIReference/CommonErrors.html */
const kinds: Readonly<Record<string, AwsErrorKind>> = {
  ThrottlingException: 'throttled',
  Throttling: 'throttled',
  ThrottledException: 'throttled',
  TooManyRequestsException: 'throttled',
  RequestLimitExceeded: 'throttled',
  RequestThrottled: 'throttled',
  SlowDown: 'throttled',
  ExpiredToken: 'expired',
  ExpiredTokenException: 'expired',
  RequestExpired: 'expired',
  InternalFailure: 'unavailable',
  InternalServerException: 'unavailable',
  ServiceUnavailable: 'unavailable',
  ServiceUnavailableException: 'unavailable',
  RequestTimeout: 'unavailable',
  TimeoutError: 'unavailable',
  ResourceNotFound: 'notFound',
  ResourceNotFoundException: 'notFound',
  NoSuchKey: 'notFound',
  NotFound: 'notFound',
  ResourceInUse: 'inUse',
  ResourceLimitExceeded: 'quota',
  ServiceQuotaExceededException: 'quota',
  ConflictException: 'conflict',
  PreconditionFailed: 'conflict',
  ConditionalRequestConflict: 'conflict',
};

/** Codes of Node's sockets and resolver. A host that does not exist may be a wrong region: `refused`, see `adviceOn`. */
const network = new Set(['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EAI_AGAIN', 'EHOSTUNREACH']);

interface SdkError extends Error {
  code?: string;
  $metadata?: { httpStatusCode?: number };
}

/** What an error of an AWS client means for the one who asked. Pure. */
export function kindOfAwsError(error: unknown): AwsErrorKind {
  const { name, code, message, $metadata } = error as SdkError;
  const known = kinds[name];
  if (known) return known;
  // DescribeTrainingJob of an unknown name answers with a ValidationException in these words (assumed: docs/aws.md).
  if (name === 'ValidationException' && /requested resource not found/i.test(message)) return 'notFound';
  if (network.has(code ?? '') || /socket hang up|Connection timed out/i.test(message)) return 'unavailable';
  return ($metadata?.httpStatusCode ?? 0) >= 500 ? 'unavailable' : 'refused';
}

/** Who asked whom for what, for the person who has to change it. */
export interface AskedAws {
  /** `sagemaker:CreateTrainingJob`, as IAM spells it. */
  action: string;
  region: string;
  role?: string;
}

/** AWS's words and, where they are known, what to change. Pure. */
export function adviceOn(error: unknown, { action, region, role }: AskedAws): string {
  const { name, code, message } = error as SdkError;
  const said = `${action} in ${region}: ${name}: ${message}`;
  const change = whatToChange();
  return change === undefined ? said : `${said}; ${change}`;

  function whatToChange(): string | undefined {
    if (code === 'ENOTFOUND') return `no such endpoint: is "region: ${region}" a region that has the service?`;
    if (/could not assume role/i.test(message) && role)
      return `let ${role} trust the service sagemaker.amazonaws.com (its trust policy), or name another "role" in the target`;
    if (/iam:PassRole/.test(message) && role) return `allow the worker's identity iam:PassRole on ${role}`;
    if (/must be in the same region|PermanentRedirect|wrong; expecting/i.test(`${name} ${message}`))
      return `store and target must be in one region: change "region" in the target or take a store there`;
    if (/scoped to a valid region/i.test(message)) return `change "region" in the target: it is not the endpoint's`;
    if (name === 'AccessDeniedException' || name === 'AccessDenied')
      return `allow the worker's identity ${action} (policies: docs/aws.md)`;
    if (name === 'UnrecognizedClientException' || name === 'InvalidClientTokenId')
      return 'these credentials are unknown to AWS: check profile, key and region';
    if (name === 'CredentialsProviderError')
      return 'the chain of the AWS SDK found no credentials: set AWS_PROFILE, or give the machine a role';
    if (name === 'ResourceLimitExceeded')
      return 'ask for a higher quota (Service Quotas, SageMaker) or add another type under "instances"';
    return undefined;
  }
}
