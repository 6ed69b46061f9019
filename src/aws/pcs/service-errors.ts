export interface ErrorMetadata {
  httpStatusCode?: number;
  requestId?: string;
  attempts?: number;
}
/** Members of an error's body beside its type and message. */
export type ErrorMembers = Readonly<Record<string, unknown>>;

/** An answer of PCS that is an error; those of its API Reference have a class of their own, any other has its code as name. */
export class PCSServiceException extends Error {
  override name: string;
  readonly $fault: 'client' | 'server';
  $metadata: ErrorMetadata;

  constructor(name: string, message: string, $metadata: ErrorMetadata) {
    super(message);
    this.name = name;
    this.$metadata = $metadata;
    this.$fault = ($metadata.httpStatusCode ?? 0) >= 500 ? 'server' : 'client';
  }
}

/** The identity may not, or, as AWS says, the cluster id does not exist (API_GetCluster, Errors). */
export class AccessDeniedException extends PCSServiceException {
  constructor(message: string, metadata: ErrorMetadata) {
    super('AccessDeniedException', message, metadata);
  }
}

/** The name is taken, the resource is not ACTIVE, or another operation is under way on it. */
export class ConflictException extends PCSServiceException {
  readonly resourceId: string | undefined;
  readonly resourceType: string | undefined;
  constructor(message: string, metadata: ErrorMetadata, members: ErrorMembers) {
    super('ConflictException', message, metadata);
    this.resourceId = textOf(members.resourceId);
    this.resourceType = textOf(members.resourceType);
  }
}

export class InternalServerException extends PCSServiceException {
  constructor(message: string, metadata: ErrorMetadata) {
    super('InternalServerException', message, metadata);
  }
}

export class ResourceNotFoundException extends PCSServiceException {
  readonly resourceId: string | undefined;
  readonly resourceType: string | undefined;
  constructor(message: string, metadata: ErrorMetadata, members: ErrorMembers) {
    super('ResourceNotFoundException', message, metadata);
    this.resourceId = textOf(members.resourceId);
    this.resourceType = textOf(members.resourceType);
  }
}

/** A quota, also that of one cluster in CREATING per account and region: wait and ask again (API_CreateCluster). */
export class ServiceQuotaExceededException extends PCSServiceException {
  readonly serviceCode: string | undefined;
  readonly quotaCode: string | undefined;
  readonly resourceId: string | undefined;
  readonly resourceType: string | undefined;
  constructor(message: string, metadata: ErrorMetadata, members: ErrorMembers) {
    super('ServiceQuotaExceededException', message, metadata);
    this.serviceCode = textOf(members.serviceCode);
    this.quotaCode = textOf(members.quotaCode);
    this.resourceId = textOf(members.resourceId);
    this.resourceType = textOf(members.resourceType);
  }
}

export class ThrottlingException extends PCSServiceException {
  readonly retryAfterSeconds: number | undefined;
  constructor(message: string, metadata: ErrorMetadata, members: ErrorMembers) {
    super('ThrottlingException', message, metadata);
    this.retryAfterSeconds = secondsOf(members.retryAfterSeconds);
  }
}

export class ValidationException extends PCSServiceException {
  readonly reason: string | undefined;
  readonly fieldList: readonly { name: string; message: string }[];
  constructor(message: string, metadata: ErrorMetadata, members: ErrorMembers) {
    super('ValidationException', message, metadata);
    this.reason = textOf(members.reason);
    const fields: unknown[] = Array.isArray(members.fieldList) ? members.fieldList : [];
    this.fieldList = fields.map((field) => {
      const { name, message: words } = (field ?? {}) as ErrorMembers;
      return { name: textOf(name) ?? '', message: textOf(words) ?? '' };
    });
  }
}

const classes: Readonly<
  Record<string, new (message: string, metadata: ErrorMetadata, members: ErrorMembers) => PCSServiceException>
> = {
  AccessDeniedException,
  ConflictException,
  InternalServerException,
  ResourceNotFoundException,
  ServiceQuotaExceededException,
  ThrottlingException,
  ValidationException,
};

/** The error of a code. Pure. */
export function serviceError(
  code: string,
  message: string,
  metadata: ErrorMetadata,
  members: ErrorMembers,
): PCSServiceException {
  const Known = Object.hasOwn(classes, code) ? classes[code] : undefined;
  return Known ? new Known(message, metadata, members) : new PCSServiceException(code, message, metadata);
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}
function secondsOf(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isFinite(value) && value >= 0 ? value : undefined;
}
