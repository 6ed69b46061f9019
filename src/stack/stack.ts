import { hostname } from 'node:os';
import { machineName, type TaskQueue, taskQueues } from '../contracts/names.ts';
import { preemptJobs } from '../jobs/local/preempt.ts';
import { choosePorts, type StackAddresses, writeAddresses } from './addresses.ts';
import type { ChildSpec } from './child-spec.ts';
import {
  type ChildContext,
  codeDigest,
  endpointChild,
  endpointSpec,
  healthPort,
  workerChild,
  workerSpec,
} from './children.ts';
import type { Environment } from './environment.ts';
import type { StackEvent } from './events.ts';
import { createStateFolders, type StateLayout, stateLayout } from './layout.ts';
import { lockStack, stackHolder } from './stack-lock.ts';
import { Supervisor } from './supervisor.ts';
import { ensureTemporalCli } from './temporal-cli.ts';
import { prepareNamespace } from './temporal-namespace.ts';
import { claimDatabase, moveDatabaseAside, temporalChild, temporalServerSpec } from './temporal-server.ts';

export interface UpOptions {
  readonly environment: Environment;
  /** Which workers to run; all four by default. */
  readonly queues?: readonly TaskQueue[];
  /** Names of the endpoints to serve. */
  readonly endpoints: readonly string[];
  /** `up --fsync`: what is acknowledged survives a power cut too. */
  readonly fsync?: boolean;
  /** `up --fresh`: move the Temporal database aside and start with an empty one. */
  readonly fresh?: boolean;
  /** Lines about what takes its time before there is a child: fetching the Temporal CLI. */
  readonly log: (line: string) => void;
  readonly onEvent?: (event: StackEvent) => void;
}

export interface Stack {
  readonly addresses: StackAddresses;
  /** Resolves when everything answers. @throws StackNotReady after `timeoutMs` */
  ready(timeoutMs: number): Promise<void>;
  /**
   * Stops everything in order: endpoints, workers with their grace, server, jobs, which save and are resumed by the next
   * `up`. A second call ends the grace.
   */
  stop(): Promise<void>;
  /** Resolves when everything has been stopped. */
  readonly stopped: Promise<void>;
}

/** Usual ports where they are free: Temporal's own, and the one that SageMaker's container contract names. */
export const preferredPorts = { temporal: 7233, ui: 8233, endpoint: 8080 };

/**
 * Brings the stack up in this process, which then supervises it: starts what is missing, takes over what an earlier `up`
 * left running, replaces what runs other code. With TEMPORAL_ADDRESS set the server is not ours and is left alone.
 * @throws StackLocked, TemporalCliMissing, DatabaseVersionMismatch; nothing has been started then
 */
export async function bringUp(options: UpOptions): Promise<Stack> {
  const layout = stateLayout(options.environment.home);
  const lock = lockStack(layout);
  const listener = options.onEvent ? { onEvent: options.onEvent } : {};
  try {
    if (options.fresh) {
      // A server of an earlier `up` may still have the file open.
      await new Supervisor(lock, [], listener).stop();
      moveDatabaseAside(layout);
      createStateFolders(layout);
    }
    const { addresses, specs } = await plan(options, layout);
    writeAddresses(layout, addresses);
    const { address, namespace } = addresses.temporal;
    const supervisor = new Supervisor(lock, specs, {
      ...listener,
      prepare: { [temporalChild]: () => prepareNamespace(address, namespace) },
    });
    const hurry = new AbortController();
    // After the workers, which would take a job that leaves for one to start again.
    const stopped = supervisor.stopped.then(() => preempt(layout, options.log, hurry.signal)).finally(lock.release);
    let asked = false;
    return {
      addresses,
      ready: (timeoutMs) => supervisor.ready(timeoutMs),
      stop: () => {
        if (asked) hurry.abort();
        asked = true;
        return supervisor.stop().then(() => stopped);
      },
      stopped,
    };
  } catch (error) {
    lock.release();
    throw error;
  }
}

async function preempt(layout: StateLayout, log: (line: string) => void, hurried: AbortSignal): Promise<void> {
  const count = await preemptJobs(layout.jobs, machineName(hostname()), hurried);
  if (count > 0) log(`${count} running ${count === 1 ? 'job has' : 'jobs have'} left; the next \`up\` resumes`);
}

async function plan(
  options: UpOptions,
  layout: StateLayout,
): Promise<{ addresses: StackAddresses; specs: ChildSpec[] }> {
  const { environment, endpoints, queues = Object.keys(taskQueues) as TaskQueue[] } = options;
  const embedded = environment.temporalAddress === undefined;
  const names = [...queues.map(workerChild), ...endpoints.map(endpointChild)];
  const ports = await choosePorts(layout, {
    ...(embedded ? { temporal: preferredPorts.temporal, 'temporal.ui': preferredPorts.ui } : {}),
    ...Object.fromEntries(endpoints.map((endpoint) => [endpointChild(endpoint), preferredPorts.endpoint])),
    ...Object.fromEntries(names.map((name) => [healthPort(name), undefined])),
  });
  const addresses: StackAddresses = {
    schema: 'goto3/addresses/v1',
    temporal: {
      address: environment.temporalAddress ?? `127.0.0.1:${ports.temporal}`,
      namespace: environment.temporalNamespace,
      ...(embedded ? { uiUrl: `http://127.0.0.1:${ports['temporal.ui']}` } : {}),
    },
    storeUrl: environment.storeUrl,
    endpoints: Object.fromEntries(endpoints.map((name) => [name, `http://127.0.0.1:${ports[endpointChild(name)]}`])),
    ports,
  };
  const context: ChildContext = { layout, addresses, embedded, code: codeDigest() };
  const specs = [
    ...(embedded ? [await server(options, layout, ports)] : []),
    ...endpoints.map((endpoint) => endpointSpec(endpoint, context)),
    ...queues.map((queue) => workerSpec(queue, context)),
  ];
  return { addresses, specs };
}

async function server(options: UpOptions, layout: StateLayout, ports: Record<string, number>): Promise<ChildSpec> {
  const cli = await ensureTemporalCli({ log: options.log, environment: options.environment });
  claimDatabase(layout, cli.serverVersion);
  return temporalServerSpec({
    cli,
    layout,
    port: ports.temporal!,
    uiPort: ports['temporal.ui']!,
    namespace: options.environment.temporalNamespace,
    fsync: options.fsync ?? false,
  });
}

export interface DownOptions {
  readonly onEvent?: (event: StackEvent) => void;
  /** How long to wait for a living `up` to stop everything; default: as long as it takes. */
  readonly timeoutMs?: number;
}

/**
 * Stops the stack from outside: asks a living `up` to, or stops what a dead one left. Resolves when no process is left.
 * @returns the pid of the `up` that was asked, or undefined
 * @throws Error when `up` does not end within `timeoutMs`
 */
export async function bringDown(layout: StateLayout, options: DownOptions = {}): Promise<number | undefined> {
  const up = stackHolder(layout);
  if (up?.pid === process.pid) throw new Error('this process runs the stack; call its stop()');
  if (up) {
    askToStop(up.pid);
    const deadline = performance.now() + (options.timeoutMs ?? Number.POSITIVE_INFINITY);
    while (stackHolder(layout)?.pid === up.pid) {
      if (performance.now() > deadline)
        throw new Error(
          `process ${up.pid} has not stopped the stack after ${options.timeoutMs} ms; a second \`goto3 down\` hurries it`,
        );
      await new Promise((wake) => setTimeout(wake, 50));
    }
  }
  const lock = lockStack(layout);
  try {
    await new Supervisor(lock, [], options.onEvent ? { onEvent: options.onEvent } : {}).stop();
    await preemptJobs(layout.jobs, machineName(hostname()), new AbortController().signal);
  } finally {
    lock.release();
  }
  return up?.pid;
}

function askToStop(pid: number): void {
  try {
    process.kill(pid, 'SIGTERM');
  } catch (error) {
    // It has just ended by itself.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}
