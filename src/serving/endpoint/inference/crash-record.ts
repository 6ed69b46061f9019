import type { InferenceStatus } from '../../../contracts/endpoint.ts';

const longestDelayMs = 30_000;
/** A process that lived so long starts the delay from zero again. */
const healthyMs = 60_000;

/** What went wrong with inference processes. */
export class CrashRecord {
  private crashes = 0;
  private last: InferenceStatus['lastCrash'];

  add(reason: string): void {
    this.crashes++;
    this.last = { at: new Date().toISOString(), reason };
  }

  status(): Pick<InferenceStatus, 'crashes' | 'lastCrash'> {
    return { crashes: this.crashes, ...(this.last && { lastCrash: this.last }) };
  }
}

/** How long to wait before the next process of those that share one: whoever crashes alone waits alone. */
export class Backoff {
  private inARow = 0;

  /** Not at all after the first crash in a row, then twice as long each time. */
  next(livedMs: number): number {
    this.inARow = livedMs >= healthyMs ? 1 : this.inARow + 1;
    return this.inARow === 1 ? 0 : Math.min(longestDelayMs, 100 * 2 ** this.inARow);
  }
}
