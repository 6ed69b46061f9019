import { appendFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { DefaultLogger, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { beating } from '../../src/workers/beating.ts';
import { serveHealth } from '../../src/workers/health.ts';
import { workerTuning } from '../../src/workers/tuning.ts';
import { type StepActivities, slowStep } from './workflow.ts';

/** A worker of bench/orchestration.ts: of the workflow, or of one step. */
const { values } = parseArgs({
  options: {
    queue: { type: 'string' },
    workflows: { type: 'boolean', default: false },
    address: { type: 'string' },
    'health-port': { type: 'string' },
  },
});
const activities: StepActivities = {
  async run({ step, notes, slowSeconds }) {
    appendFileSync(notes, `${step} began\n`);
    if (step === slowStep && slowSeconds > 0) await new Promise((resolve) => setTimeout(resolve, slowSeconds * 1_000));
    appendFileSync(notes, `${step} ended\n`);
  },
};

Runtime.install({ logger: new DefaultLogger('ERROR'), shutdownSignals: [] });
const connection = await NativeConnection.connect({ address: values.address! });
const worker = await Worker.create({
  ...{ connection, taskQueue: values.queue! },
  ...workerTuning('control'),
  ...(values.workflows
    ? { workflowsPath: fileURLToPath(new URL('./workflow.ts', import.meta.url)) }
    : { activities: beating(activities) }),
});
const health = await serveHealth(Number(values['health-port']), {
  healthy: () => ({ ok: worker.getState() === 'RUNNING', detail: {} }),
  metrics: async () => '',
});
process.once('SIGTERM', () => worker.shutdown());
await worker.run();
await health.close();
process.exit(0);
