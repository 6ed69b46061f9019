import { TestWorkflowEnvironment } from '@temporalio/testing';
import { bundleWorkflowCode, DefaultLogger, Runtime, Worker, type WorkflowBundle } from '@temporalio/worker';
import { taskQueues } from '../src/contracts/names.ts';
import { searchAttributes } from '../src/contracts/search-attributes.ts';
import { readEnvironment } from '../src/stack/environment.ts';
import { findTemporalCli } from '../src/stack/temporal-cli.ts';

Runtime.install({
  logger: new DefaultLogger('ERROR'),
  telemetryOptions: { logging: { forward: {}, filter: 'ERROR' } },
});

/** A real dev server of its own for one test file. */
export async function startTemporal(
  dynamicConfig: Record<string, string | number> = {},
  server: { ui?: boolean; uiPort?: number } = {},
): Promise<TestWorkflowEnvironment> {
  const cli = await findTemporalCli(readEnvironment(), []);
  if (!cli) throw new Error('no Temporal CLI: run `npm test`, which installs it, or set TEMPORAL_CLI');
  const config = {
    'history.transferProcessorMaxPollRPS': 2000,
    'history.timerProcessorMaxPollRPS': 2000,
    'history.visibilityProcessorMaxPollRPS': 2000,
    'history.timerProcessorMaxTimeShift': '"1ms"',
    ...dynamicConfig,
  };
  return await TestWorkflowEnvironment.createLocal({
    server: {
      ...server,
      executable: { type: 'existing-path', path: cli.path },
      searchAttributes: Object.values(searchAttributes),
      extraArgs: Object.entries(config).flatMap(([key, value]) => ['--dynamic-config-value', `${key}=${value}`]),
      log: { level: 'error', format: 'pretty' },
    },
  });
}

let bundle: Promise<WorkflowBundle> | undefined;

/** One bundle per run of the tests. */
export const workflowBundle = (): Promise<WorkflowBundle> => {
  bundle ??= bundleWorkflowCode({
    workflowsPath: new URL('../src/workflows/index.ts', import.meta.url).pathname,
    payloadConverterPath: new URL('../src/workflows/payload-converter.ts', import.meta.url).pathname,
    logger: new DefaultLogger('ERROR'),
  });
  return bundle;
};

/** One worker per task queue, as in production, with the given activities on all of them. */
export async function startWorkers(
  env: TestWorkflowEnvironment,
  activities: object,
): Promise<{ stop(): Promise<void> }> {
  const options = {
    connection: env.nativeConnection,
    namespace: env.namespace ?? 'default',
    activities,
    stickyQueueScheduleToStartTimeout: '1s',
    maxHeartbeatThrottleInterval: '100ms',
  };
  const workers = await Promise.all([
    Worker.create({ ...options, taskQueue: taskQueues.control, workflowBundle: await workflowBundle() }),
    Worker.create({ ...options, taskQueue: taskQueues.cpu }),
    Worker.create({ ...options, taskQueue: taskQueues.gpu }),
  ]);
  const runs = workers.map((worker) => worker.run());
  return {
    async stop() {
      for (const worker of workers) worker.shutdown();
      await Promise.all(runs);
    },
  };
}

/** Waits on a condition with a deadline; nothing, null and false are "not yet". Its last error or value is in the failure. */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined | null | false>,
  withinMs = 20_000,
): Promise<T> {
  const deadline = Date.now() + withinMs;
  let last: unknown;
  while (Date.now() < deadline) {
    try {
      const value = await probe();
      if (value !== undefined && value !== null && value !== false) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(
    `${what}: not within ${withinMs} ms; last: ${last instanceof Error ? last.message : JSON.stringify(last)}`,
  );
}
