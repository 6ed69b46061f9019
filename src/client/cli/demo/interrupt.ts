/** Somebody pressed Ctrl-C, or the process was asked to end. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
}

/** The first SIGINT or SIGTERM asks to end in good order; further ones say that it takes too long. */
export class Interrupt {
  /** Aborted by the first one, with `Interrupted`. */
  readonly signal: AbortSignal;
  /** Resolves at the first one. */
  readonly happened: Promise<void>;
  /** Called at each one after the first. */
  onSecond: () => void = () => {};
  private readonly controller = new AbortController();
  private readonly listener = (): void => {
    if (this.signal.aborted) this.onSecond();
    else this.controller.abort(new Interrupted('interrupted'));
  };

  constructor() {
    this.signal = this.controller.signal;
    this.happened = new Promise((resolve) => this.signal.addEventListener('abort', () => resolve()));
    process.on('SIGINT', this.listener).on('SIGTERM', this.listener);
  }

  /** What `work` gives. @throws Interrupted, without waiting for it any longer */
  async orDone<T>(work: Promise<T>): Promise<T> {
    const interrupted = this.happened.then(() => Promise.reject(this.signal.reason));
    // The work goes on to its own end, which nobody waits for.
    work.catch(() => undefined);
    interrupted.catch(() => undefined);
    return await Promise.race([work, interrupted]);
  }

  stopListening(): void {
    process.off('SIGINT', this.listener).off('SIGTERM', this.listener);
  }
}
