import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { connect, type Goto3 } from '../../../src/client/connect.ts';
import { readProcesses } from '../../../src/jobs/local/processes.ts';
import { readAddresses, writeAddresses } from '../../../src/stack/addresses.ts';
import { type Environment, readEnvironment } from '../../../src/stack/environment.ts';
import { createStateFolders, type StateLayout, stateLayout } from '../../../src/stack/layout.ts';
import { freePorts } from '../../../src/stack/ports.ts';
import { isAlive, type ProcessIdentity } from '../../../src/stack/process-identity.mjs';
import { readTable } from '../../../src/stack/process-table.ts';
import { stackStatus } from '../../../src/stack/status.ts';
import { eventually } from '../../temporal.ts';
import type { Evidence, HistoryEvidence } from '../checker/evidence.ts';
import { readStarts, type TrainerStart } from './trainer-starts.ts';

const command = fileURLToPath(new URL('../../../bin/goto3', import.meta.url));
const shiftClock = new URL('./shift-clock.mjs', import.meta.url).href;
const killAt = new URL('./kill-at.mjs', import.meta.url).href;
/** Planted in every loop; the checker looks for it wherever it must not be. */
export const plantedSecret = 'planted-secret-5d1c94';
const readyWithinMs = 90_000;

/**
 * The real embedded stack in a temporary home, as `goto3 up` runs it: a Temporal server with its database, four workers,
 * the endpoints. Its processes are found by their records and killed by pid.
 */
export class StackUnderFault {
  readonly layout: StateLayout;
  readonly environment: Environment;
  /** What clients did, for the checker. */
  readonly log: Pick<Evidence, 'commands' | 'requests' | 'endpointKillsMs' | 'clockSpreadMs'> = {
    commands: [],
    requests: {},
    endpointKillsMs: [],
    clockSpreadMs: 0,
  };
  /** Of servers whose database is gone: the checker asks them too. */
  readonly pastHistories: HistoryEvidence[] = [];
  goto3!: Goto3;
  /** Of earlier starts: a call that is being tried again does not survive its connection. */
  private readonly pastConnections: Goto3[] = [];
  private up: ChildProcess | undefined;
  private readonly variables: Record<string, string>;
  private readonly output: string[] = [];
  private readonly clockOffsetsMs = [0];

  private constructor(home: string, preloads: readonly string[]) {
    this.layout = stateLayout(home);
    const options = preloads.map((program) => `--import ${program}`).join(' ');
    this.variables = { GOTO3_HOME: home, NODE_OPTIONS: options, NO_COLOR: '1' };
    this.environment = readEnvironment({ ...process.env, ...this.variables });
  }

  /** @param endpoints to serve; their ports and the server's are free ones, never the usual ones. `clock`: it can jump (shift-clock.mjs). */
  static async create(endpoints: readonly string[], { clock = false } = {}): Promise<StackUnderFault> {
    const home = await mkdtemp(join(tmpdir(), 'goto3-faults-'));
    const stack = new StackUnderFault(home, [killAt, ...(clock ? [shiftClock] : [])]);
    const { layout } = stack;
    createStateFolders(layout);
    await mkdir(join(home, 'secrets'));
    await writeFile(join(home, 'secrets', 'warehouse'), `${plantedSecret}\n`);
    const purposes = ['temporal', 'temporal.ui', ...endpoints.map((name) => `endpoint-${name}`)];
    const ports = await freePorts(purposes.map(() => undefined));
    writeAddresses(layout, {
      schema: 'goto3/addresses/v1',
      temporal: { address: `127.0.0.1:${ports[0]}`, namespace: 'default' },
      storeUrl: pathToFileURL(layout.store).href,
      endpoints: Object.fromEntries(endpoints.map((name) => [name, `http://127.0.0.1:0`])),
      ports: Object.fromEntries(purposes.map((purpose, i) => [purpose, ports[i]!])),
    });
    return stack;
  }

  get home(): string {
    return this.layout.home;
  }

  /** Types `goto3 up` and waits until everything answers. */
  async start(): Promise<void> {
    const up = spawn(process.execPath, [command, 'up'], {
      cwd: this.home,
      env: { ...process.env, ...this.variables },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [up.stdout, up.stderr])
      stream.setEncoding('utf8').on('data', (text: string) => this.output.push(text));
    this.up = up;
    await eventually(
      'the stack is up',
      async () => {
        if (up.exitCode !== null) throw new Error('up has ended');
        const status = await stackStatus(this.layout);
        // A child that an earlier `up` left and this one will replace is healthy too: what counts is this one's word.
        return status.up?.pid === up.pid && this.said.includes('Ctrl-C stops it in good order');
      },
      readyWithinMs,
    ).catch((error: Error) => Promise.reject(new Error(`${error.message}\n${this.said}`)));
    if (this.goto3) this.pastConnections.push(this.goto3);
    this.goto3 = await connect({ environment: this.environment, by: 'ann' });
  }

  /** What `up` has said since it was last started. */
  get said(): string {
    return this.output.join('');
  }

  /** The living process of a child, by its record. */
  process(name: string): ProcessIdentity {
    const found = readTable(this.layout.run).find((record) => record.name === name)?.process;
    if (!found || !isAlive(found)) throw new Error(`no living process of ${name} is recorded in ${this.layout.run}`);
    return found;
  }

  /** Sends a signal to a child; with SIGKILL, waits until that very process is gone. */
  async signal(name: string, signal: NodeJS.Signals): Promise<ProcessIdentity> {
    const target = this.process(name);
    if (signal === 'SIGKILL' && name.startsWith('endpoint-')) this.log.endpointKillsMs.push(Date.now());
    process.kill(target.pid, signal);
    if (signal === 'SIGKILL') await eventually(`${name} is dead`, async () => !isAlive(target));
    return target;
  }

  /** Waits until another process than `before` does the work of a child. */
  async replaced(name: string, before: ProcessIdentity, withinMs = 60_000): Promise<void> {
    await eventually(
      `${name} is restarted`,
      async () => {
        const child = (await stackStatus(this.layout)).children.find((c) => c.name === name);
        return child?.health === 'ok' && child.pid !== before.pid;
      },
      withinMs,
    );
  }

  /** Ends `up` itself with a signal and waits for it; its children are none of this. */
  async endUp(signal: 'SIGKILL' | 'SIGTERM'): Promise<number | null> {
    const { up } = this;
    if (!up) throw new Error('up was not started');
    this.up = undefined;
    this.output.length = 0;
    const exit = once(up, 'exit');
    up.kill(signal);
    return ((await exit) as [number | null])[0];
  }

  /** Puts the clock of every Node process of the stack ahead of the machine's by so much; negative: behind it. */
  jumpClock(toMs: number): void {
    const file = join(this.home, 'clock');
    writeFileSync(`${file}.writing`, String(toMs));
    renameSync(`${file}.writing`, file);
    this.clockOffsetsMs.push(toMs);
    this.log.clockSpreadMs = Math.max(...this.clockOffsetsMs) - Math.min(...this.clockOffsetsMs);
  }

  endpointUrl(name: string): string {
    const url = readAddresses(this.layout)?.endpoints[name];
    if (!url) throw new Error(`no endpoint ${name}`);
    return url;
  }

  /** A `goto3` command as an operator types it. */
  async type(...argv: string[]): Promise<string> {
    const { stdout } = await promisify(execFile)(process.execPath, [command, ...argv], {
      cwd: this.home,
      env: { ...process.env, ...this.variables },
      timeout: 60_000,
    });
    return stdout;
  }

  /** Every start of every trainer, as the trainers themselves noted it (programs/note-start.mjs). */
  async trainerStarts(): Promise<TrainerStart[]> {
    const folder = join(this.home, 'loops');
    const loops = await readdir(folder);
    return (await Promise.all(loops.map((loop) => readStarts(join(folder, loop))))).flat();
  }

  /** Living processes that belong to this home: children of the stack, wrappers, programs. */
  processesLeft(): number[] {
    return readProcesses()
      .filter(({ pid, zombie }) => !zombie && pid !== process.pid)
      .filter(({ pid }) => mentions(pid, 'environ', this.home) || mentions(pid, 'cmdline', this.home))
      .map(({ pid }) => pid);
  }

  /** Ends everything and removes the home. */
  async destroy(): Promise<void> {
    for (const connection of [...this.pastConnections, this.goto3]) await connection?.close().catch(() => undefined);
    if (this.up) await this.endUp('SIGKILL');
    for (const pid of this.processesLeft()) killIfThere(pid);
    await eventually('nothing is left of the stack', async () => this.processesLeft().length === 0);
    await rm(this.home, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** A job's program knows nothing of goto3, but its folders are below the home. */
function mentions(pid: number, file: 'environ' | 'cmdline', home: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1').includes(home);
  } catch {
    return false;
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
