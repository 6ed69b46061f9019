/**
 * Errors as PCS has them. Statuses: @httpError of the service model (aws-models/pcs.json in aws-sdk-js-v3); the pages of the
 * API Reference print 400 for all but InternalServerException, and no client goes by the status. Members: the same model.
 */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly code: string;
  readonly status: number;
  readonly members: object;

  constructor(code: string, status: number, message: string, members: object = {}) {
    super(message);
    this.code = code;
    this.status = status;
    this.members = members;
  }
}

export const invalid = (field: string, message: string): ApiError =>
  new ApiError('ValidationException', 400, `${field} ${message}`, {
    reason: 'fieldValidationFailed',
    fieldList: [{ name: field, message }],
  });
export const conflict = (resourceType: string, resourceId: string, message: string): ApiError =>
  new ApiError('ConflictException', 409, message, { resourceId, resourceType });
export const notFound = (resourceType: string, resourceId: string): ApiError =>
  new ApiError('ResourceNotFoundException', 404, `The requested ${resourceType} can't be found.`, {
    resourceId,
    resourceType,
  });
/** The quota codes are Amazon's numbers, which no page of PCS tells: left out, they are optional. */
export const quotaExceeded = (resourceType: string, message: string): ApiError =>
  new ApiError('ServiceQuotaExceededException', 402, message, { serviceCode: 'pcs', resourceType });
export const throttled = (retryAfterSeconds?: number): ApiError =>
  new ApiError('ThrottlingException', 429, 'Rate exceeded', {
    ...(retryAfterSeconds !== undefined && { retryAfterSeconds }),
  });
