import { existsSync } from 'node:fs';
import { formatDuration } from '../../contracts/units.ts';
import type { StopReason } from '../classify.ts';
import { claimPath, renewHeartbeat } from './claim.ts';
import type { JobFolder } from './job-folder.ts';

export interface Stop {
  why: StopReason;
  detail: string;
}

/**
 * What the outside may want from a wrapper, from its claim to its end: a cancel file, a SIGTERM (with a cancel file it is
 * the cancel, without one the host goes down), or a claim that is no longer its own. It also renews the claim. The first
 * reason stays.
 */
export class ClaimWatch {
  readonly #folder: JobFolder;
  readonly #renewWithinMs: number;
  readonly #claimNumber: number;
  readonly #timers: NodeJS.Timeout[];
  readonly #listeners: ((stop: Stop) => void)[] = [];
  readonly #onSignal = (): void => {
    this.#look();
    this.stop({
      why: 'preempted',
      detail: 'the wrapper was asked to leave (SIGTERM): the host or its supervisor stops',
    });
  };
  #renewedMs = performance.now();
  #stopped: Stop | undefined;

  constructor(folder: JobFolder, options: { renewWithinMs: number; watchEveryMs: number; claimNumber: number }) {
    this.#folder = folder;
    this.#renewWithinMs = options.renewWithinMs;
    this.#claimNumber = options.claimNumber;
    for (const signal of stopSignals) process.on(signal, this.#onSignal);
    this.#timers = [
      setInterval(() => this.#look(), options.watchEveryMs),
      setInterval(() => void this.#renew(), options.renewWithinMs / 3),
    ];
    this.#look();
  }

  get stopped(): Stop | undefined {
    return this.#stopped;
  }

  /** Called once, at once when the stop has come already. */
  onStop(listener: (stop: Stop) => void): void {
    if (this.#stopped) listener(this.#stopped);
    else this.#listeners.push(listener);
  }

  stop(stop: Stop): void {
    if (this.#stopped) return;
    this.#stopped = stop;
    for (const listener of this.#listeners) listener(stop);
  }

  close(): void {
    for (const timer of this.#timers) clearInterval(timer);
    for (const signal of stopSignals) process.off(signal, this.#onSignal);
    // From here on the end is being recorded, which takes milliseconds: a signal must not interrupt it.
    for (const signal of stopSignals) process.on(signal, () => {});
  }

  #look(): void {
    if (!this.#stopped && existsSync(this.#folder.cancel))
      this.stop({ why: 'cancelled', detail: 'cancelled on request' });
  }

  /**
   * Others give a claim up when it is overdue, by their own clock. So a wrapper that could not renew in time (no disk, a
   * paused machine) must take its job for lost even when it can write again.
   */
  async #renew(): Promise<void> {
    // The batch system thought this node dead and started the job elsewhere.
    if (existsSync(claimPath(this.#folder, this.#claimNumber + 1)))
      this.stop({ why: 'claimLost', detail: 'a later start of the same batch job took the claim over' });
    const error = await renewHeartbeat(this.#folder).then(
      () => undefined,
      (e: unknown) => e as Error,
    );
    const now = performance.now();
    const late = now - this.#renewedMs > this.#renewWithinMs;
    if (!error) this.#renewedMs = now;
    if (late)
      this.stop({
        why: 'claimLost',
        detail: `the wrapper could not renew its claim within ${formatDuration(this.#renewWithinMs)}${error ? `: ${error.message}` : ''}`,
      });
  }
}

const stopSignals = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
