import { stat } from 'node:fs/promises';
import type { JobFolder } from './job-folder.ts';

/**
 * For how long a heartbeat has not moved, by this process's own monotonic clock. Clocks of two hosts are never compared,
 * so neither their skew nor a jump makes a live job look dead; after a restart the watch begins anew, on the safe side.
 */
export class HeartbeatWatch {
  readonly #seen = new Map<string, { mtimeMs: number; sinceMs: number; moved: boolean }>();

  /** `moved`: it was seen to change at least once, so somebody lives there. */
  async observe(folder: JobFolder): Promise<{ unchangedMs: number; moved: boolean }> {
    const mtimeMs = await stat(folder.heartbeat).then(
      (s) => s.mtimeMs,
      () => 0,
    );
    const before = this.#seen.get(folder.path);
    if (before?.mtimeMs === mtimeMs) return { unchangedMs: performance.now() - before.sinceMs, moved: before.moved };
    this.#seen.set(folder.path, { mtimeMs, sinceMs: performance.now(), moved: before !== undefined });
    return { unchangedMs: 0, moved: before !== undefined };
  }

  forget(folder: JobFolder): void {
    this.#seen.delete(folder.path);
  }
}
