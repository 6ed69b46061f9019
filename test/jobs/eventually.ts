import { setTimeout as sleep } from 'node:timers/promises';

/** Polls until `look` finds something; fails with `what` when the deadline passes first. */
export async function eventually<T>(
  what: string,
  look: () => Promise<T | undefined | false> | T | undefined | false,
  withinMs = 15_000,
): Promise<T> {
  for (const deadline = performance.now() + withinMs; performance.now() < deadline; await sleep(15)) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
  }
  throw new Error(`waited ${withinMs} ms for: ${what}`);
}
