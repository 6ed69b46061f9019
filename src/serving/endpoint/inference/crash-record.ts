import type { InferenceStatus } from '../../../contracts/endpoint.ts';

const longestDelayMs = 30_000;
/** A process that lived so long starts the delay from zero again. */
const healthyMs = 60_000;

/** What went wrong with inference processes, and how long to wait before the next one. */
export class CrashRecord {
  private crashes = 0;
  private inARow = 0;
  private last: InferenceStatus['lastCrash'];

  /** How long to wait: not at all after the first crash in a row, then twice as long each time. */
  add(reason: string, livedMs: number): number {
    this.crashes++;
    this.inARow = livedMs >= healthyMs ? 1 : this.inARow + 1;
    this.last = { at: new Date().toISOString(), reason };
    return this.inARow === 1 ? 0 : Math.min(longestDelayMs, 100 * 2 ** this.inARow);
  }

  status(): Pick<InferenceStatus, 'crashes' | 'lastCrash'> {
    return { crashes: this.crashes, ...(this.last && { lastCrash: this.last }) };
  }
}
