import { setTimeout as delay } from 'node:timers/promises';
import type { CaptureUpkeep } from '../../store/upkeep.ts';
import type { Log } from './log.ts';

/**
 * A replica leaves several small segments a second; from time to time it packs its own, so that whoever joins labels
 * with answers opens hundreds of files and not millions. Answers never wait for it.
 */
export class CapturePacking {
  private readonly stopping = new AbortController();
  private readonly running: Promise<void>;

  constructor(captures: CaptureUpkeep, endpoint: string, replica: string, everyMs: number, log: Log) {
    const { signal } = this.stopping;
    const run = async (): Promise<void> => {
      while (!signal.aborted) {
        try {
          await captures.pack(endpoint, replica);
        } catch (error) {
          log.warn({ error: String(error) }, 'cannot pack captures; they are read as they are');
        }
        await delay(everyMs, undefined, { signal, ref: false }).catch(() => {});
      }
    };
    this.running = run();
  }

  /** Waits for the pack that is being made. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.running;
  }
}
