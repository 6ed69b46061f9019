import { parseArgs } from 'node:util';
import { Client, Connection } from '@temporalio/client';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import type { TaskQueue } from '../../src/contracts/names.ts';
import { taskQueues } from '../../src/contracts/names.ts';
import { beating } from '../../src/workers/beating.ts';
import { failureInterceptor } from '../../src/workers/failure-interceptor.ts';
import { serveHealth } from '../../src/workers/health.ts';
import { workerTuning } from '../../src/workers/tuning.ts';
import { workflowBundle } from '../../src/workers/workflow-bundle.ts';
import { cheapActivities } from './activities.ts';

/** A worker of bench/soak.ts: the real workflows, tuned as `up` does, on activities that do nothing. */
const { values } = parseArgs({
  options: {
    queue: { type: 'string' },
    address: { type: 'string' },
    'health-port': { type: 'string' },
    cycles: { type: 'string' },
    'cycle-log': { type: 'string' },
    'bundle-folder': { type: 'string' },
    cache: { type: 'string' },
  },
});
const queue = values.queue as TaskQueue;
const address = values.address!;
Runtime.install({ logger: new DefaultLogger('WARN'), shutdownSignals: [] });
const connection = await NativeConnection.connect({ address });
const client = new Client({ connection: await Connection.connect({ address }) });
const activities = cheapActivities({ client, cycles: Number(values.cycles), cycleLog: values['cycle-log']! });
const worker = await Worker.create({
  ...{ connection, taskQueue: taskQueues[queue] },
  activities: queue === 'control' ? beating(activities) : activities,
  ...workerTuning(queue),
  ...(values.cache !== undefined && { maxCachedWorkflows: Number(values.cache) }),
  ...(queue === 'control' && { workflowBundle: await workflowBundle(values['bundle-folder']!, { versioned: false }) }),
  interceptors: { activity: [() => ({ inbound: failureInterceptor })] },
});
const health = await serveHealth(Number(values['health-port']), {
  healthy: () => ({ ok: worker.getState() === 'RUNNING', detail: {} }),
  metrics: async () => JSON.stringify({ rssBytes: process.memoryUsage.rss(), ...worker.getStatus() }),
});
process.once('SIGTERM', () => worker.shutdown());
await worker.run();
await health.close();
process.exit(0);
