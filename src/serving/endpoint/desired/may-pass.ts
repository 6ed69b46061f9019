import { InvalidInput } from '../../../store/errors.ts';
import { ServingError, servingErrors } from '../../errors.ts';
import { ModelUnavailable } from '../inference/model-unavailable.ts';

/** Loads of one state that may end with a dead inference process. */
const mostCrashes = 3;

/**
 * What is short now and may not be later; runtimes say it in words only: C++ (`std::bad_alloc`), ONNX Runtime's arena
 * ("Failed to allocate memory for requested buffer"), V8 ("Array buffer allocation failed"), the kernel's codes.
 */
const shortOfSomething =
  /bad_alloc|failed to allocate memory|cannot allocate memory|out of memory|buffer allocation failed|\b(?:ENOMEM|EMFILE|ENFILE|EAGAIN|EBUSY|EIO)\b/i;

/**
 * Whether the same load may succeed later. A model that does not load stays so until somebody deploys another; a store that
 * does not answer, a blob that cannot be read just now, memory that is short may come back. A crash may be somebody else's
 * doing, but a model that kills its process every time must not go on with it.
 *
 * @param failures how often this state has failed before
 */
export function mayPass(error: unknown, failures: number): boolean {
  const cause = error instanceof ModelUnavailable ? error.cause : error;
  if (cause instanceof ServingError) {
    if (cause.type === servingErrors.inferenceCrashed) return failures + 1 < mostCrashes;
    return shortOfSomething.test(cause.message);
  }
  // Whatever else comes from the store; a manifest that is none stays none.
  return !(cause instanceof InvalidInput);
}
