import { ActivityFailure, ApplicationFailure } from '@temporalio/common';
import type { FailureType } from '../contracts/failures.ts';

/** Whether an activity gave up with this type of failure. */
export const hasFailureType = (error: unknown, type: FailureType): boolean =>
  error instanceof ActivityFailure && error.cause instanceof ApplicationFailure && error.cause.type === type;
