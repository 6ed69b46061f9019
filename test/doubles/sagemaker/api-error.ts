/**
 * An error as awsJson1.1 carries it: HTTP status, `__type` and message. Codes that every operation may give:
 * https://docs.aws.amazon.com/sagemaker/latest/APIReference/CommonErrors.html
 */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: number;
  readonly code: string;

  constructor(code: string, message: string, status = 400) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** CommonErrors: ValidationError, 400; SageMaker spells it ValidationException (assumed: seen in its answers, in no page). */
export const invalid = (message: string): ApiError => new ApiError('ValidationException', message);
