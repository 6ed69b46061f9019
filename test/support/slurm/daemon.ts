import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';

/** One daemon in the foreground, stopped by its own id. */
export class Daemon {
  readonly #argv: readonly [string, ...string[]];
  readonly #environment: NodeJS.ProcessEnv;
  readonly #log: string;
  #child: ChildProcess | undefined;

  constructor(argv: readonly [string, ...string[]], environment: NodeJS.ProcessEnv, log: string) {
    this.#argv = argv;
    this.#environment = environment;
    this.#log = log;
  }

  start(): void {
    const log = openSync(this.#log, 'a');
    const [command, ...rest] = this.#argv;
    this.#child = spawn(command, rest, { env: this.#environment, stdio: ['ignore', log, log] });
    closeSync(log);
  }

  get running(): boolean {
    return this.#child?.exitCode === null && this.#child.signalCode === null;
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    if (!child || !this.running) return;
    const exit = once(child, 'exit');
    const hard = setTimeout(() => child.kill('SIGKILL'), 10_000);
    child.kill(signal);
    await exit;
    clearTimeout(hard);
  }

  lastLines(): string {
    return readFileSync(this.#log, 'utf8').trimEnd().split('\n').slice(-8).join('\n');
  }
}
