import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ChildSpec } from '../../src/stack/child-spec.ts';
import { readEnvironment } from '../../src/stack/environment.ts';
import { stateLayout } from '../../src/stack/layout.ts';
import { freePorts } from '../../src/stack/ports.ts';
import { readTable } from '../../src/stack/process-table.ts';
import { lockStack } from '../../src/stack/stack-lock.ts';
import { StackNotReady, Supervisor } from '../../src/stack/supervisor.ts';
import { ensureTemporalCli } from '../../src/stack/temporal-cli.ts';
import { prepareNamespace } from '../../src/stack/temporal-namespace.ts';
import { claimDatabase, temporalChild, temporalServerSpec } from '../../src/stack/temporal-server.ts';
import { tsxArgv } from '../../src/stack/tsx.ts';

/** A worker process of a benchmark: `program` gets `args`, then `--address` and `--health-port`. */
export interface BenchWorker {
  name: string;
  program: URL;
  args: string[];
}

export interface BenchStack {
  home: string;
  address: string;
  cli: { version: string; serverVersion: string };
  flags: readonly string[];
  healthUrl(name: string): string;
  pid(name: string): number;
  stop(): Promise<void>;
}

const readyWithinMs = 120_000;
const attempts = 3;
const interrupts = ['SIGINT', 'SIGTERM'] as const;

/**
 * What `up` starts, with other workers: the same server with the same flags and database file, under the same supervisor,
 * which restarts whatever is killed. Ports are free ones; where another process was quicker, others are tried.
 */
export async function startStack(workers: readonly BenchWorker[]): Promise<BenchStack> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnFreePorts(workers);
    } catch (error) {
      if (!(error instanceof StackNotReady) || attempt === attempts) throw error;
    }
  }
}

async function startOnFreePorts(workers: readonly BenchWorker[]): Promise<BenchStack> {
  const home = await mkdtemp(join(tmpdir(), 'goto3-bench-'));
  const layout = stateLayout(home);
  const lock = lockStack(layout);
  const cli = await ensureTemporalCli({ log: (line) => console.log(line), environment: readEnvironment() });
  claimDatabase(layout, cli.serverVersion);
  const [port, uiPort, ...healthPorts] = await freePorts(Array.from({ length: workers.length + 2 }, () => undefined));
  const address = `127.0.0.1:${port}`;
  const server = temporalServerSpec({
    ...{ cli, layout, port: port!, uiPort: uiPort! },
    ...{ namespace: 'default', fsync: false },
  });
  const healthUrl = (name: string): string =>
    `http://127.0.0.1:${healthPorts[workers.findIndex((worker) => worker.name === name)]}`;
  const specs = workers.map(
    ({ name, program, args }, i): ChildSpec => ({
      name,
      argv: tsxArgv(program, ...args, '--address', address, '--health-port', String(healthPorts[i])),
      env: { GOTO3_HOME: home },
      cwd: home,
      readiness: { kind: 'http', url: `${healthUrl(name)}/healthz` },
      stopSignal: 'SIGTERM',
      graceMs: 10_000,
      after: [temporalChild],
      stopWave: 2,
      code: 'bench',
      ports: [healthPorts[i]!],
    }),
  );
  const supervisor = new Supervisor(lock, [server, ...specs], {
    prepare: { [temporalChild]: () => prepareNamespace(address, 'default') },
  });
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopping ??= (async () => {
      for (const signal of interrupts) process.off(signal, interrupted);
      await supervisor.stop();
      lock.release();
      await rm(home, { recursive: true, force: true, maxRetries: 5 });
    })();
    return stopping;
  };
  // The children outlive this process by design: a benchmark that is interrupted takes them along.
  const interrupted = (): void => {
    // What is still measured meets processes that are gone; only the stop counts now.
    process.on('uncaughtException', () => {});
    void stop().finally(() => process.exit(130));
  };
  for (const signal of interrupts) process.once(signal, interrupted);
  await supervisor.ready(readyWithinMs).catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  return {
    ...{ home, address, cli, healthUrl, stop },
    flags: server.argv.slice(1).filter((word) => word !== layout.database),
    pid(name) {
      const found = readTable(layout.run).find((record) => record.name === name)?.process;
      if (!found) throw new Error(`no process of ${name} is recorded`);
      return found.pid;
    },
  };
}
