import { failureTypes } from '../contracts/failures.ts';

const types: readonly unknown[] = [failureTypes.corruptBlob, failureTypes.notFound, failureTypes.invalidInput];

/** The store has not, or no longer, what a digest names: no retry brings it back. Everything else may pass. */
export const isUnreadable = (error: unknown): error is Error & { type: string } =>
  error instanceof Error && 'type' in error && types.includes(error.type);
