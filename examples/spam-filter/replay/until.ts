import { setTimeout as delay } from 'node:timers/promises';

export interface UntilOptions {
  everyMs: number;
  withinMs: number;
  signal: AbortSignal;
  /** What is waited for, in words. */
  what: string;
}

/** Asks until there is an answer. @throws Error after `withinMs`; the signal's reason */
export async function until<T>(
  ask: () => Promise<T | undefined>,
  { everyMs, withinMs, signal, what }: UntilOptions,
): Promise<T> {
  const deadline = performance.now() + withinMs;
  for (;;) {
    signal.throwIfAborted();
    const answer = await ask();
    if (answer !== undefined) return answer;
    if (performance.now() >= deadline) throw new Error(`${what}: not within ${withinMs / 1_000} s`);
    await delay(everyMs, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}
