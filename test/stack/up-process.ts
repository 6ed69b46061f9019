import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { ChildSpec } from '../../src/stack/child-spec.ts';
import { type StateLayout, stateLayout } from '../../src/stack/layout.ts';
import { isAlive, type ProcessIdentity } from '../../src/stack/process-identity.mjs';
import { readTable } from '../../src/stack/process-table.ts';

const programs = fileURLToPath(new URL('./programs/', import.meta.url));

export interface SeenEvent {
  kind: string;
  name?: string;
  pid?: number;
  how?: string;
  why?: string;
  restarts?: number;
}

/** Waits for a condition; fails with `what` after the deadline. */
export async function until<T>(what: string, find: () => T | undefined | false, timeoutMs = 8_000): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = find();
    if (found !== undefined && found !== false) return found;
    assert.ok(performance.now() < deadline, `${what} did not happen within ${timeoutMs} ms`);
    await new Promise((wake) => setTimeout(wake, 20));
  }
}

/** A child program of the tests on a port, as a spec. */
export function healthyChild(
  name: string,
  port: number,
  given: Partial<ChildSpec> & { flags?: string[] } = {},
): ChildSpec {
  const { flags = [], ...rest } = given;
  return {
    name,
    argv: [process.execPath, join(programs, 'healthy.mjs'), '--port', String(port), ...flags],
    env: {},
    cwd: programs,
    readiness: { kind: 'http', url: `http://127.0.0.1:${port}/healthz` },
    stopSignal: 'SIGTERM',
    graceMs: 5_000,
    after: [],
    stopWave: 1,
    code: 'test',
    ports: [port],
    ...rest,
  };
}

/** A state folder and the `up` processes that run on it; `clean` ends all that was started and removes the folder. */
export class StackUnderTest {
  readonly layout: StateLayout = stateLayout(mkdtempSync(join(tmpdir(), 'goto3-stack-')));
  readonly #ups: UpProcess[] = [];
  readonly #seen = new Map<string, ProcessIdentity>();

  up(specs: ChildSpec[]): UpProcess {
    const file = join(this.layout.home, `specs-${this.#ups.length}.json`);
    writeFileSync(file, JSON.stringify(specs));
    const up = new UpProcess(this.layout.home, file);
    this.#ups.push(up);
    return up;
  }

  /** The living process of a child, from its record. */
  process(name: string): ProcessIdentity {
    const found = readTable(this.layout.run).find((record) => record.name === name)?.process;
    assert.ok(found, `no process of ${name} is recorded`);
    this.#seen.set(`${found.pid} ${found.startTime}`, found);
    return found;
  }

  log(name: string): string {
    return readFileSync(join(this.layout.logs, `${name}.log`), 'utf8');
  }

  async clean(): Promise<void> {
    for (const up of this.#ups) await up.kill();
    for (const { process } of readTable(this.layout.run)) if (process) this.#seen.set(`${process.pid}`, process);
    for (const child of this.#seen.values()) if (isAlive(child)) process.kill(child.pid, 'SIGKILL');
    rmSync(this.layout.home, { recursive: true, force: true });
  }
}

export class UpProcess {
  readonly events: SeenEvent[] = [];
  stderr = '';
  readonly #child: ChildProcess;
  readonly #exit: Promise<unknown[]>;

  constructor(home: string, specsFile: string) {
    this.#child = spawn(process.execPath, ['--import', 'tsx', join(programs, 'up.ts'), home, specsFile], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#exit = once(this.#child, 'close');
    createInterface({ input: this.#child.stdout! }).on('line', (line) => this.events.push(JSON.parse(line)));
    this.#child.stderr!.on('data', (chunk) => {
      this.stderr += chunk;
    });
  }

  /** The first event of a kind, of a child; waits for it. */
  async event(kind: string, name?: string, after = 0): Promise<SeenEvent> {
    const find = (): SeenEvent | undefined => {
      const index = this.events.findIndex(
        (event, i) => i >= after && event.kind === kind && (name === undefined || event.name === name),
      );
      return this.events[index];
    };
    const died = (): boolean => this.#child.exitCode !== null || this.#child.signalCode !== null;
    const found = await until(`${kind} ${name ?? ''}`, () => find() ?? (died() ? 'died' : undefined));
    if (found !== 'died') return found;
    await this.#exit;
    const last = find();
    assert.ok(last, `up ended before ${kind} ${name ?? ''}: ${this.stderr}`);
    return last;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Exit code, or null after a signal. */
  async exit(): Promise<number | null> {
    const [code] = await this.#exit;
    return code as number | null;
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exit;
  }
}
