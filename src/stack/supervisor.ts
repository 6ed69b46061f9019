import { Child } from './child.ts';
import { type ChildSpec, specHash } from './child-spec.ts';
import type { StackEvent, StackEventBody } from './events.ts';
import { rotateLog, tailLog } from './log-file.ts';
import { newRecord, readTable } from './process-table.ts';
import { type Action, reconcile } from './reconcile.ts';
import type { StackLock } from './stack-lock.ts';

/** Not all children became ready in time, or the stack was stopped meanwhile. */
export class StackNotReady extends Error {
  override readonly name = 'StackNotReady';
}

export interface SupervisorOptions {
  readonly onEvent?: (event: StackEvent) => void;
  /** By child: runs when its probe first succeeds; the child is ready when it has resolved. */
  readonly prepare?: Readonly<Record<string, () => Promise<void>>>;
}

/** Children whose end we do not hear of, because an earlier `up` started them, are looked at so often. */
const tickMs = 200;
const rotateEveryMs = 10_000;

/**
 * Keeps the wanted children running: starts them in order, restarts what dies, takes over what an earlier `up` left,
 * replaces what is out of date. What to do is decided in reconcile.ts.
 */
export class Supervisor {
  readonly #specs: ReadonlyMap<string, ChildSpec>;
  readonly #children = new Map<string, Child>();
  readonly #options: SupervisorOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #waiting = new Set<() => void>();
  #mode: 'run' | 'stop' | 'over' = 'run';
  #impatient = false;
  #rotatedAtMs = performance.now();

  /** Starts to work; `lock` stays the caller's, who gives it back when all is stopped. */
  constructor({ layout }: StackLock, specs: readonly ChildSpec[], options: SupervisorOptions = {}) {
    this.#options = options;
    this.#specs = new Map(specs.map((spec) => [spec.name, spec]));
    const records = new Map(readTable(layout.run).map((record) => [record.name, record]));
    for (const spec of specs) if (!records.has(spec.name)) records.set(spec.name, newRecord(layout, spec, 0));
    for (const [name, record] of records) this.#children.set(name, new Child(layout, record, this.#emit));
    this.#timer = setInterval(this.#tick, tickMs);
    setImmediate(this.#tick);
  }

  readonly #emit = (name: string, event: StackEventBody): void => {
    this.#options.onEvent?.({ at: new Date().toISOString(), name, ...event });
  };

  readonly #tick = (): void => {
    if (this.#mode === 'over') return;
    const desired = [...this.#specs.values()].map((spec) => ({
      name: spec.name,
      specHash: specHash(spec),
      after: spec.after,
    }));
    const observed = [...this.#children.values()].map((child) => ({
      ...child.observe(),
      ...(this.#impatient ? { graceMs: 0 } : {}),
    }));
    for (const action of reconcile({ desired, observed, mode: this.#mode, nowMs: performance.now() }))
      this.#perform(action);
    for (const child of this.#children.values())
      void child.checkHealth(this.#options.prepare?.[child.name]).then(this.#wake);
    this.#rotateLogs();
    if (this.#mode === 'stop' && this.#children.size === 0) this.#finish();
    this.#wake();
  };

  #perform(action: Action): void {
    const child = this.#children.get(action.name)!;
    switch (action.kind) {
      case 'start':
        // The process may end while we still handle its start.
        child.start(this.#specs.get(action.name)!, () => setImmediate(this.#tick));
        break;
      case 'adopt':
        child.adopt(this.#specs.get(action.name)!);
        break;
      case 'stop':
        child.stop(action.why);
        break;
      case 'kill':
        child.kill();
        break;
      case 'forget':
        child.forget();
        this.#children.delete(action.name);
    }
  }

  #rotateLogs(): void {
    if (performance.now() - this.#rotatedAtMs < rotateEveryMs) return;
    this.#rotatedAtMs = performance.now();
    for (const child of this.#children.values()) rotateLog(child.record.log);
  }

  readonly #wake = (): void => {
    for (const check of [...this.#waiting]) check();
  };

  #finish(): void {
    this.#mode = 'over';
    clearInterval(this.#timer);
  }

  /** Resolves when `done` is true; looked at after everything that happens. */
  #until(done: () => boolean, deadlineMs = Number.POSITIVE_INFINITY): Promise<boolean> {
    return new Promise((resolve) => {
      const check = (): void => {
        const isDone = done();
        if (!isDone && performance.now() < deadlineMs) return;
        this.#waiting.delete(check);
        resolve(isDone);
      };
      this.#waiting.add(check);
      check();
    });
  }

  /**
   * Resolves when every wanted child is ready.
   * @throws StackNotReady after `timeoutMs`, with each laggard's reason and the end of its log
   */
  async ready(timeoutMs: number): Promise<void> {
    const laggards = (): Child[] => [...this.#children.values()].filter((child) => !child.ready);
    const settled = (): boolean => this.#mode !== 'run' || laggards().length === 0;
    const inTime = await this.#until(settled, performance.now() + timeoutMs);
    if (this.#mode !== 'run') throw new StackNotReady('the stack was stopped before it was ready');
    if (inTime) return;
    throw new StackNotReady(
      laggards()
        .map((child) => {
          const log = tailLog(child.record.log, 10).map((line) => `\n    ${line}`);
          const reason = child.unhealthy ?? 'it is not started yet';
          return `${child.name} is not ready after ${timeoutMs} ms: ${reason}\n  ${child.record.log}:${log.join('')}`;
        })
        .join('\n'),
    );
  }

  /**
   * Stops everything, wave by wave, and resolves when no process is left. Asked again it stops waiting for those that
   * take their time.
   */
  async stop(): Promise<void> {
    if (this.#mode === 'run') {
      this.#mode = 'stop';
      setImmediate(this.#tick);
    } else this.#impatient = true;
    await this.stopped;
  }

  /** Resolves when the stack has been stopped. */
  get stopped(): Promise<void> {
    return this.#until(() => this.#mode === 'over').then(() => undefined);
  }
}
