import { sleep } from '@temporalio/activity';
import { notYet } from './failures.ts';

/**
 * Between two looks of an activity that only waits. When the worker is asked to leave, it ends at once and benignly: the
 * next attempt goes on elsewhere, and nobody's shutdown waits for a watcher.
 *
 * @throws CancelledFailure when the activity is cancelled
 */
export async function pause(ms: number, leaving: AbortSignal | undefined): Promise<void> {
  if (!leaving?.aborted) {
    const settled = new AbortController();
    const leave = new Promise<void>((resolve) => {
      leaving?.addEventListener('abort', () => resolve(), { once: true, signal: settled.signal });
    });
    await Promise.race([sleep(ms), leave]).finally(() => settled.abort());
  }
  if (leaving?.aborted) throw notYet('this worker leaves; another one goes on', 1);
}
