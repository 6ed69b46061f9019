import { Context } from '@temporalio/activity';

/**
 * Beats on a timer, a third of the heartbeat timeout, while the work runs: in TypeScript no heartbeat means no
 * cancellation either (temporal.md §2). The last details that the work gave go with every beat, and the server keeps
 * them for the next attempt; until the work says something, they are those of the attempt before.
 *
 * @param work gets a function that replaces the details, what the attempt before said last, and the cancellation
 */
export async function pulse<T>(
  work: (say: (details: unknown) => void, signal: AbortSignal, before: unknown) => Promise<T>,
): Promise<T> {
  const context = Context.current();
  const { heartbeatTimeoutMs, heartbeatDetails } = context.info;
  let details: unknown = heartbeatDetails;
  const beat = (): void => context.heartbeat(details);
  beat();
  const timer = setInterval(beat, Math.max(50, (heartbeatTimeoutMs ?? 30_000) / 3));
  try {
    return await work(
      (next) => {
        details = next;
        beat();
      },
      context.cancellationSignal,
      heartbeatDetails,
    );
  } finally {
    clearInterval(timer);
  }
}
