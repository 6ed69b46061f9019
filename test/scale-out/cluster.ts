import { type ChildProcess, execFile } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { connect, type Goto3 } from '../../src/client/connect.ts';
import type { TaskQueue } from '../../src/contracts/names.ts';
import { type Environment, readEnvironment } from '../../src/stack/environment.ts';
import { createStateFolders, type StateLayout, stateLayout } from '../../src/stack/layout.ts';
import { tsxArgv } from '../../src/stack/tsx.ts';
import { readJobs } from '../faults/checker/collect.ts';
import type { Evidence, HistoryEvidence, JobEvidence } from '../faults/checker/evidence.ts';
import { plantedSecret } from '../faults/harness/stack.ts';
import { readStarts, type TrainerStart } from '../faults/harness/trainer-starts.ts';
import { withVariables } from '../support/versitygw/server.ts';
import { eventually } from '../temporal.ts';
import { type Machine, PrivateNetwork } from './network.ts';
import { type Server, startPostgres, startS3, startTemporalServer } from './servers.ts';

const worker = new URL('../../src/workers/main.ts', import.meta.url);
const prepareNamespace = fileURLToPath(new URL('../../deploy/prepare-namespace.ts', import.meta.url));
const healthPort = 9_100;

export interface WorkerMachine extends Machine {
  queue: TaskQueue;
  /** Its own disk: jobs, cache, log. */
  layout: StateLayout;
  process: ChildProcess;
}

/**
 * goto3 on many machines, as docs/deploy.md has it: PostgreSQL, a Temporal server, an S3 server and every worker each on a
 * machine of their own. What the workers share is those servers and the folder of the loops, nothing else.
 */
export class Cluster {
  readonly home: string;
  readonly layout: StateLayout;
  readonly network: PrivateNetwork;
  readonly workers: WorkerMachine[] = [];
  readonly log: Pick<Evidence, 'commands' | 'requests' | 'endpointKillsMs' | 'clockSpreadMs'> = {
    commands: [],
    requests: {},
    endpointKillsMs: [],
    clockSpreadMs: 0,
  };
  readonly pastHistories: HistoryEvidence[] = [];
  environment!: Environment;
  goto3!: Goto3;
  /** In the order of their start. */
  readonly #servers: Server[] = [];
  #restoreVariables = (): void => undefined;
  #shared: Record<string, string> = {};

  private constructor(home: string) {
    this.home = home;
    this.layout = stateLayout(home);
    this.network = PrivateNetwork.create();
  }

  static async create(): Promise<Cluster> {
    const cluster = new Cluster(await mkdtemp(join(tmpdir(), 'goto3-scale-out-')));
    try {
      await cluster.#startServers();
    } catch (error) {
      await cluster.destroy();
      throw error;
    }
    return cluster;
  }

  async #startServers(): Promise<void> {
    const { home, layout, network } = this;
    createStateFolders(layout);
    for (const folder of [layout.store, layout.jobs, join(home, 'loops'), join(home, 'servers')]) await mkdir(folder);
    const folderOf = async (name: string): Promise<string> => {
      const folder = join(home, 'servers', name);
      await mkdir(folder);
      return folder;
    };
    // The database's user has to pass through.
    await promisify(execFile)('chmod', ['711', home]);
    const s3 = await startS3(network.machine('s3'), await folderOf('s3'));
    this.#servers.push(s3);
    const database = await startPostgres(network.machine('postgres'), await folderOf('postgres'));
    this.#servers.push(database);
    const temporal = await startTemporalServer(network.machine('temporal'), await folderOf('temporal'), database);
    this.#servers.push(temporal);
    this.#shared = {
      ...s3.variables,
      GOTO3_STORE: 's3://goto3/scale-out',
      TEMPORAL_ADDRESS: temporal.address,
      TEMPORAL_NAMESPACE: 'default',
      GOTO3_SECRET_WAREHOUSE: plantedSecret,
    };
    // Typed as docs/deploy.md has it.
    await promisify(execFile)(process.execPath, ['--import', 'tsx', prepareNamespace], {
      env: { PATH: process.env.PATH, ...this.#shared },
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
    });
    // The store's client finds its server by the SDK's own variables.
    this.#restoreVariables = withVariables(s3.variables);
    this.environment = readEnvironment({ ...process.env, ...this.#shared, GOTO3_HOME: home });
    this.goto3 = await connect({ environment: this.environment, by: 'ann' });
  }

  /** Starts workers, each on a new machine named `<queue>-<n>`, and waits until all of them poll. */
  async addWorkers(...queues: readonly TaskQueue[]): Promise<void> {
    const added: WorkerMachine[] = [];
    for (const queue of queues) {
      const n = this.workers.filter((other) => other.queue === queue).length + 1;
      const machine = this.network.machine(`${queue}-${n}`);
      const layout = stateLayout(join(this.home, 'machines', machine.name));
      await mkdir(layout.logs, { recursive: true });
      const log = openSync(join(layout.logs, 'worker.log'), 'a');
      const variables = { ...this.#shared, GOTO3_HOME: layout.home, GOTO3_CACHE: join(layout.home, 'cache') };
      const health = ['--health-host', machine.address, '--health-port', String(healthPort)];
      const child = machine.spawn(tsxArgv(worker, '--queue', queue, ...health), {
        env: { PATH: process.env.PATH, ...variables },
        stdio: ['ignore', log, log],
      });
      closeSync(log);
      const added1 = { ...machine, queue, layout, process: child };
      this.workers.push(added1);
      added.push(added1);
    }
    await Promise.all(added.map((machine) => this.#polls(machine)));
  }

  async #polls({ name, address, layout, process: child }: WorkerMachine): Promise<void> {
    await eventually(
      `${name} polls`,
      async () => {
        if (child.exitCode !== null) throw new Error(`it ended: ${await readFile(join(layout.logs, 'worker.log'))}`);
        return (await fetch(`http://${address}:${healthPort}/healthz`)).status === 200;
      },
      90_000,
    );
  }

  /** SIGKILL, and the worker is dead when this returns. */
  async kill({ process: child }: WorkerMachine): Promise<void> {
    const exit = once(child, 'exit');
    child.kill('SIGKILL');
    await exit;
  }

  async trainerStarts(): Promise<TrainerStart[]> {
    const loops = [...new Set(this.log.commands.map(({ loop }) => loop))];
    return (await Promise.all(loops.map((loop) => readStarts(join(this.home, 'loops', loop))))).flat();
  }

  /** Of all machines. */
  async jobs(): Promise<JobEvidence[]> {
    return (await Promise.all(this.workers.map(({ layout }) => readJobs(layout.jobs)))).flat();
  }

  /** Stops everything in good order as far as it goes, then by force, and removes the machines and their disks. */
  async destroy(): Promise<void> {
    try {
      await this.goto3?.close();
      for (const { process: child } of this.workers) child.kill('SIGKILL');
      for (const server of this.#servers.reverse()) await server.stop();
    } finally {
      this.#restoreVariables();
      this.network.destroy();
      await rm(this.home, { recursive: true, force: true, maxRetries: 5 });
    }
  }
}
