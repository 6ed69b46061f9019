import { ApplicationFailure, TemporalFailure } from '@temporalio/common';

/**
 * A handler that throws anything but a Temporal failure fails the workflow task, again and again, and with it every other
 * message: a mistake in one decision must cost the one who asked, not the entity.
 */
export function guarded<A extends unknown[], R>(decide: (...message: A) => R): (...message: A) => R {
  return (...message) => {
    try {
      const answer = decide(...message);
      return answer instanceof Promise ? (answer.catch(refuse) as R) : answer;
    } catch (error) {
      return refuse(error);
    }
  };
}

function refuse(error: unknown): never {
  if (error instanceof TemporalFailure) throw error;
  throw ApplicationFailure.nonRetryable(error instanceof Error ? error.message : String(error), 'Bug');
}
