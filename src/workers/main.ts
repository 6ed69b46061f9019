import { parseArgs } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Runtime, Worker, type WorkerOptions, type WorkflowBundleOption } from '@temporalio/worker';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { hostQueue, type TaskQueue, taskQueues } from '../contracts/names.ts';
import { readAddresses } from '../stack/addresses.ts';
import { openDataConverter } from '../stack/data-converter.ts';
import { readEnvironment } from '../stack/environment.ts';
import { stateLayout } from '../stack/layout.ts';
import { freePorts } from '../stack/ports.ts';
import { readSigning } from '../stack/signing.ts';
import { openStore } from '../store/open.ts';
import { withSigning } from '../store/signing/registry.ts';
import { createActivities, hostName } from './activities.ts';
import { deploymentOptions } from './deployment.ts';
import { failureInterceptor } from './failure-interceptor.ts';
import { findGpus } from './gpus.ts';
import { serveHealth } from './health.ts';
import { createLog, type Logger, sdkLogger } from './log.ts';
import { workerTuning } from './tuning.ts';
import { workflowBundle } from './workflow-bundle.ts';

/** One worker process: `main.ts --queue control|cpu|gpu|hpc --health-port 9100`; a container adds `--health-host 0.0.0.0`. */
async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      queue: { type: 'string' },
      'health-port': { type: 'string', default: '0' },
      'health-host': { type: 'string', default: '127.0.0.1' },
    },
  });
  const queue = values.queue as TaskQueue;
  if (!Object.hasOwn(taskQueues, queue ?? ''))
    throw new Error(
      `--queue: expected one of ${Object.keys(taskQueues).join(', ')}, got ${JSON.stringify(values.queue)}`,
    );
  const environment = readEnvironment();
  const log = createLog(`worker-${queue}`);

  const [metricsPort] = await freePorts([undefined]);
  const metricsAddress = `127.0.0.1:${metricsPort}`;
  Runtime.install({
    logger: sdkLogger(log, { tellsFailures: environment.codecKeys.length === 0 }),
    telemetryOptions: {
      metrics: {
        prometheus: {
          bindAddress: metricsAddress,
          unitSuffix: true,
          countersTotalSuffix: true,
          useSecondsForDurations: true,
        },
      },
      logging: { forward: {}, filter: 'WARN' },
    },
    // The process ends by its own handler below, so that the health server and connections close in order.
    shutdownSignals: [],
  });

  const embedded = readAddresses(stateLayout(environment.home))?.temporal.address;
  const address = environment.temporalAddress ?? embedded ?? '127.0.0.1:7233';
  const namespace = environment.temporalNamespace;
  // Compression is pure cost on loopback, and digests are all that travels.
  const beyond = environment.temporalAddress === undefined ? {} : environment.temporalConnection;
  const native = await NativeConnection.connect({ ...beyond, address });
  const connection = await Connection.connect({ ...beyond, address });
  const dataConverter = await openDataConverter(environment);
  const client = new Client({ connection, namespace, dataConverter });
  const store = withSigning(
    await openStore(environment.storeUrl, environment.storeOptions),
    await readSigning(environment),
  );
  const gpus = queue === 'gpu' ? await findGpus() : [];
  const leaving = new AbortController();
  const activities = await createActivities({
    queue,
    environment,
    store,
    client,
    log,
    gpus,
    leaving: leaving.signal,
  });

  const options: WorkerOptions = {
    connection: native,
    namespace,
    dataConverter,
    taskQueue: taskQueues[queue],
    activities,
    ...deploymentOptions(environment.buildId),
    interceptors: { activity: [() => ({ inbound: failureInterceptor })] },
    ...workerTuning(queue),
  };
  const bundle: WorkflowBundleOption | undefined =
    queue === 'control'
      ? await workflowBundle(environment.home, { ...dataConverter, versioned: environment.buildId !== undefined })
      : undefined;
  const workers = [await Worker.create({ ...options, ...(bundle && { workflowBundle: bundle }) })];
  // Local jobs are found again only on the machine that runs them.
  if (queue === 'gpu') workers.push(await Worker.create({ ...options, taskQueue: hostQueue(queue, hostName()) }));

  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const states = (): Record<string, string> =>
    Object.fromEntries(workers.map((worker) => [worker.options.taskQueue, worker.getState()]));
  const health = await serveHealth(
    Number(values['health-port']),
    {
      healthy: () => ({
        ok: workers.every((worker) => worker.getState() === 'RUNNING'),
        detail: { queue, workers: states(), gpus: gpus.length },
      }),
      metrics: async () =>
        (await registry.metrics()) +
        (await fetch(`http://${metricsAddress}/metrics`).then(
          (response) => response.text(),
          () => '',
        )),
    },
    values['health-host'],
  );
  log.info({ queue, address, namespace, gpus: gpus.length, healthPort: health.port }, 'worker started');

  // Until here there is nothing to put in order: a signal ends the process by itself.
  const leave = (signal: NodeJS.Signals): void => leaving.abort(signal);
  process.once('SIGTERM', leave).once('SIGINT', leave);
  try {
    await runAll(workers, leaving.signal, log);
  } finally {
    await health.close();
    await connection.close();
    await native.close();
  }
}

/** Until it is asked to leave, or one of the workers fails: half a worker is none. */
async function runAll(workers: readonly Worker[], leaving: AbortSignal, log: Logger): Promise<void> {
  const stop = (): void => {
    log.info({ signal: leaving.reason as unknown }, 'worker stops');
    for (const worker of workers) if (worker.getState() === 'RUNNING') worker.shutdown();
  };
  leaving.addEventListener('abort', stop, { once: true });
  const runs = workers.map((worker) =>
    worker.run().catch((error: unknown) => {
      stop();
      throw error;
    }),
  );
  const failed = (await Promise.allSettled(runs)).find((run) => run.status === 'rejected');
  if (failed) throw failed.reason;
}

main().then(
  // Whatever still holds the event loop (a scorer's pipe, say) must not keep a stopped worker alive.
  () => process.exit(0),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
