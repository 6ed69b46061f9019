import { Context } from '@temporalio/activity';

/**
 * Beats on a timer, a third of the heartbeat timeout, while the work runs: in TypeScript no heartbeat means no
 * cancellation either (temporal.md §2). The last details that the work gave go with every beat.
 *
 * @param work gets a function that replaces the details; its promise is the result
 */
export async function pulse<T>(work: (say: (details: unknown) => void, signal: AbortSignal) => Promise<T>): Promise<T> {
  const context = Context.current();
  const { heartbeatTimeoutMs } = context.info;
  let details: unknown = context.info.heartbeatDetails;
  const beat = (): void => context.heartbeat(details);
  beat();
  const timer = setInterval(beat, Math.max(50, (heartbeatTimeoutMs ?? 30_000) / 3));
  try {
    return await work((next) => {
      details = next;
      beat();
    }, context.cancellationSignal);
  } finally {
    clearInterval(timer);
  }
}
