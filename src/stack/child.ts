import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import type { ChildSpec } from './child-spec.ts';
import { inheritedEnvironment } from './environment.ts';
import type { StackEventBody } from './events.ts';
import type { StateLayout } from './layout.ts';
import { openLog } from './log-file.ts';
import { identify, isAlive } from './process-identity.mjs';
import { childTokenVariable, findChild, killLeftovers } from './process-search.ts';
import { type ChildRecord, newRecord, removeRecord, writeRecord } from './process-table.ts';
import { probe } from './readiness.ts';
import { backoffMs, type Observed, type StopReason } from './reconcile.ts';

/** A child that has been ready for so long starts again without having earlier deaths counted against it. */
const stableAfterMs = 60_000;
/** How often a child that is ready is asked again. */
const healthEveryMs = 5_000;

const now = (): number => performance.now();

/** One child of the stack: its process, its record, what was seen of it. Times are monotonic milliseconds. */
export class Child {
  readonly name: string;
  private readonly layout: StateLayout;
  private readonly emit: (name: string, event: StackEventBody) => void;
  #record: ChildRecord;
  #own: ChildProcess | undefined;
  #ending: string | undefined;
  #alive: boolean;
  #supervised = false;
  #readySinceMs: number | undefined;
  #unhealthy: string | undefined;
  #startedAtMs = now();
  #probedAtMs = 0;
  #probing = false;
  #stopRequestedAtMs: number | undefined;
  #killed = false;
  #deaths = 0;
  #lastDeathAtMs: number | undefined;

  /** From a record of an earlier `up`; finds the process of an `up` that died before it could note the pid. */
  constructor(layout: StateLayout, record: ChildRecord, emit: (name: string, event: StackEventBody) => void) {
    this.layout = layout;
    this.emit = emit;
    this.name = record.name;
    this.#record =
      record.process === null ? { ...record, process: findChild(record.token, record.argv) ?? null } : record;
    this.#alive = this.#record.process !== null && isAlive(this.#record.process);
    if (!this.#alive) this.#killLeftovers();
  }

  get record(): ChildRecord {
    return this.#record;
  }
  get ready(): boolean {
    return this.#alive && this.#readySinceMs !== undefined;
  }
  get unhealthy(): string | undefined {
    return this.#unhealthy;
  }

  /** Looks at the process and notices its end. */
  observe(): Observed {
    if (this.#alive && !this.#livesNow()) this.#ended();
    return {
      name: this.name,
      specHash: this.#record.specHash,
      stopWave: this.#record.stopWave,
      graceMs: this.#record.graceMs,
      alive: this.#alive,
      supervised: this.#supervised,
      ready: this.ready,
      stopRequestedAtMs: this.#stopRequestedAtMs,
      killed: this.#killed,
      deaths: this.#deaths,
      lastDeathAtMs: this.#lastDeathAtMs,
    };
  }

  #livesNow(): boolean {
    if (this.#own) return this.#ending === undefined;
    return this.#record.process !== null && isAlive(this.#record.process);
  }

  #ended(): void {
    this.#alive = false;
    this.#killLeftovers();
    const wasStable = this.#readySinceMs !== undefined && now() - this.#readySinceMs >= stableAfterMs;
    this.#readySinceMs = undefined;
    this.#unhealthy = undefined;
    if (this.#stopRequestedAtMs !== undefined) {
      this.#deaths = 0;
      this.#lastDeathAtMs = undefined;
      this.emit(this.name, { kind: 'stopped' });
      return;
    }
    this.#deaths = wasStable ? 1 : this.#deaths + 1;
    this.#lastDeathAtMs = now();
    this.emit(this.name, {
      kind: 'died',
      how: this.#ending ?? 'ended; its exit status went to another process',
      restartInMs: backoffMs(this.#deaths),
      log: this.#record.log,
    });
  }

  #killLeftovers(): void {
    if (this.#record.process) killLeftovers(this.#record.process.pid, this.#record.token);
  }

  /** Starts the process in a session of its own, so that no terminal and no death of ours ends it. */
  start(spec: ChildSpec, onExit: () => void): void {
    const restarts = this.#record.restarts + (this.#deaths > 0 ? 1 : 0);
    this.#record = newRecord(this.layout, spec, restarts);
    this.#own = undefined;
    this.#ending = undefined;
    this.#alive = true;
    this.#supervised = true;
    this.#stopRequestedAtMs = undefined;
    this.#killed = false;
    this.#startedAtMs = now();
    this.#probedAtMs = 0;
    try {
      // Noted first: were we killed right after the spawn, the next `up` would find the process by its token.
      writeRecord(this.layout.run, this.#record);
      this.#own = this.#spawn(spec, onExit);
    } catch (error) {
      // A full disk, no more processes: a death like any other, tried again later.
      this.#ending = `could not be started: ${reasonOf(error)}`;
      return;
    }
    const { pid } = this.#own;
    if (pid === undefined) return;
    this.#record = { ...this.#record, process: identify(pid) ?? null };
    this.emit(this.name, { kind: 'started', pid, restarts });
    this.#saveRecord();
  }

  #spawn(spec: ChildSpec, onExit: () => void): ChildProcess {
    const log = openLog(this.#record.log);
    try {
      const child = spawn(spec.argv[0], spec.argv.slice(1), {
        cwd: spec.cwd,
        env: inheritedEnvironment({ ...spec.env, [childTokenVariable]: this.#record.token }),
        detached: true,
        stdio: ['ignore', log, log],
      });
      child.unref();
      const end = (how: string): void => {
        if (this.#own !== child) return;
        this.#ending = how;
        onExit();
      };
      child.on('error', (error) => end(`could not be started: ${error.message}`));
      child.on('exit', (code, signal) => end(signal ? `killed by ${signal}` : `exited with code ${code}`));
      return child;
    } finally {
      closeSync(log);
    }
  }

  /** The token finds the process again should this fail. */
  #saveRecord(): void {
    try {
      writeRecord(this.layout.run, this.#record);
    } catch (error) {
      this.emit(this.name, { kind: 'unhealthy', reason: `its record cannot be written: ${reasonOf(error)}` });
    }
  }

  /** Takes over a living process of an earlier `up`; its policy (grace, probe) becomes that of `spec`. */
  adopt(spec: ChildSpec): void {
    const { process: running, token, startedAt, restarts } = this.#record;
    this.#record = { ...newRecord(this.layout, spec, restarts), process: running, token, startedAt };
    this.#saveRecord();
    this.#supervised = true;
    this.emit(this.name, { kind: 'adopted', pid: running?.pid ?? 0 });
  }

  stop(why: StopReason): void {
    this.#stopRequestedAtMs = now();
    this.emit(this.name, { kind: 'stopping', why });
    this.#signal(this.#record.stopSignal);
  }

  kill(): void {
    this.#killed = true;
    this.emit(this.name, { kind: 'killed', graceMs: this.#record.graceMs });
    this.#signal('SIGKILL');
  }

  /** Drops the record of a process that is gone and not wanted. */
  forget(): void {
    removeRecord(this.layout.run, this.name);
  }

  #signal(signal: NodeJS.Signals): void {
    if (this.#own) this.#own.kill(signal);
    else if (this.#record.process && isAlive(this.#record.process)) {
      try {
        process.kill(this.#record.process.pid, signal);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
  }

  /** Asks the child whether it works, unless it was asked lately. `prepare` runs once, before it counts as ready. */
  async checkHealth(prepare: (() => Promise<void>) | undefined): Promise<void> {
    if (!this.#alive || !this.#supervised || this.#probing || this.#stopRequestedAtMs !== undefined) return;
    if (this.#readySinceMs !== undefined && now() - this.#probedAtMs < healthEveryMs) return;
    const asked = this.#record.token;
    this.#probing = true;
    try {
      await probe(this.#record.readiness);
      if (this.#readySinceMs === undefined) await prepare?.();
      if (this.#alive && this.#record.token === asked) this.#foundHealthy();
    } catch (error) {
      if (this.#alive && this.#record.token === asked) this.#foundUnhealthy(reasonOf(error));
    } finally {
      this.#probing = false;
      this.#probedAtMs = now();
    }
  }

  #foundHealthy(): void {
    if (this.#readySinceMs === undefined) {
      this.#readySinceMs = now();
      this.emit(this.name, { kind: 'ready', afterMs: Math.round(this.#readySinceMs - this.#startedAtMs) });
    } else if (this.#unhealthy !== undefined) this.emit(this.name, { kind: 'healthy' });
    this.#unhealthy = undefined;
  }

  #foundUnhealthy(reason: string): void {
    if (this.#readySinceMs !== undefined && this.#unhealthy === undefined)
      this.emit(this.name, { kind: 'unhealthy', reason });
    this.#unhealthy = reason;
  }
}

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
