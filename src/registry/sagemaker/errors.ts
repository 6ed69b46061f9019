import { failureTypes } from '../../contracts/failures.ts';

/** What SageMaker holds under our name is not ours, or not as we left it; the message says what to change. */
export class RegistryRefused extends Error {
  override readonly name = 'RegistryRefused';
  readonly type = failureTypes.awsRefused;
}

/** A package that SageMaker is still making: soon it is there, so a retry may succeed. */
export class PackageNotReady extends Error {
  override readonly name = 'PackageNotReady';
  readonly type = failureTypes.notYet;
}

const isValidation = (error: unknown, words: RegExp): boolean =>
  (error as Error).name === 'ValidationException' && words.test((error as Error).message);

/** "ModelPackageGroup … does not exist." (code and words assumed: docs/aws.md) */
export const isAbsent = (error: unknown): boolean =>
  (error as Error).name === 'ResourceNotFound' || isValidation(error, /does not exist|not found/i);

/** "… already exists" (code and words assumed: docs/aws.md) */
export const isTaken = (error: unknown): boolean => isValidation(error, /already exist/i);
