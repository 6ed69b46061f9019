import type { CaptureRecord } from '../../contracts/endpoint.ts';
import type { Log } from './log.ts';

export interface CaptureOptions {
  flushEveryMs: number;
  /** A flush starts early when so many wait; also the most of one append. */
  flushAtRecords: number;
  /** Records kept while the store does not answer; beyond it new ones are dropped and counted. */
  maxBuffered: number;
}

const longestRetryMs = 10_000;

/**
 * Evidence on its way to the store: answers never wait for it. A process killed at once loses what is not flushed yet,
 * at most `flushEveryMs` of it; an append whose reply was lost is written twice, so readers count by inference id and
 * variant.
 */
export class CaptureBuffer {
  private readonly options: CaptureOptions;
  private readonly append: (records: readonly CaptureRecord[]) => Promise<void>;
  private readonly log: Log;
  private waiting: CaptureRecord[] = [];
  private timer: NodeJS.Timeout | undefined;
  private flushing: Promise<void> | undefined;
  private failuresInARow = 0;
  private closed = false;
  readonly counts = { written: 0, dropped: 0, failedAppends: 0 };

  constructor(options: CaptureOptions, append: (records: readonly CaptureRecord[]) => Promise<void>, log: Log) {
    this.options = options;
    this.append = append;
    this.log = log;
  }

  get pending(): number {
    return this.waiting.length;
  }

  add(record: CaptureRecord): void {
    if (this.waiting.length >= this.options.maxBuffered) {
      this.counts.dropped++;
      return;
    }
    this.waiting.push(record);
    // While the store does not answer, a full buffer must not make every request try again.
    if (this.waiting.length >= this.options.flushAtRecords && this.failuresInARow === 0) this.startFlush();
    else this.flushLater(this.options.flushEveryMs);
  }

  /** Writes what waits; gives up after `withinMs` or at the first failure after it was called, and counts the rest as dropped. */
  async close(withinMs: number): Promise<void> {
    this.closed = true;
    clearTimeout(this.timer);
    const deadline = new Promise<void>((resolve) => setTimeout(resolve, withinMs).unref());
    await Promise.race([this.drain(), deadline]);
    this.counts.dropped += this.waiting.length;
    if (this.waiting.length > 0) this.log.error({ records: this.waiting.length }, 'captures lost at close');
    this.waiting = [];
  }

  private async drain(): Promise<void> {
    await this.flushing;
    const failures = this.counts.failedAppends;
    while (this.waiting.length > 0 && this.counts.failedAppends === failures) await this.flush();
  }

  private flushLater(delayMs: number): void {
    if (this.closed || this.flushing) return;
    this.timer ??= setTimeout(() => this.startFlush(), delayMs);
  }

  private startFlush(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    this.flushing ??= this.flush().finally(() => {
      this.flushing = undefined;
      if (this.waiting.length === 0 || this.closed) return;
      const delayMs = this.options.flushEveryMs * 2 ** this.failuresInARow;
      if (this.failuresInARow === 0 && this.waiting.length >= this.options.flushAtRecords) this.startFlush();
      else this.flushLater(Math.min(longestRetryMs, delayMs));
    });
  }

  private async flush(): Promise<void> {
    const records = this.waiting.slice(0, this.options.flushAtRecords);
    try {
      await this.append(records);
      this.waiting.splice(0, records.length);
      this.counts.written += records.length;
      this.failuresInARow = 0;
    } catch (error) {
      this.failuresInARow++;
      this.counts.failedAppends++;
      if (this.failuresInARow === 1)
        this.log.error({ error: String(error) }, 'captures cannot be written, keeping them');
    }
  }
}
