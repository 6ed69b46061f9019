import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { createCycleActivities } from '../activities/cycle.ts';
import { createDataActivities } from '../activities/data.ts';
import { createEndpointActivities } from '../activities/endpoint.ts';
import { createEvaluateActivities } from '../activities/evaluate.ts';
import { createGateActivities } from '../activities/gate.ts';
import { createJobActivities } from '../activities/job.ts';
import { createLoopActivities } from '../activities/loop.ts';
import { ModelFolders } from '../activities/model-folders.ts';
import { createNotifyActivities } from '../activities/notify.ts';
import { createQuantizeActivities } from '../activities/quantize.ts';
import { createRegistryActivities } from '../activities/registry.ts';
import { createTrainActivities } from '../activities/train.ts';
import { createWorkloadActivities } from '../activities/workload/workload.ts';
import { hostQueue, machineName, type TaskQueue } from '../contracts/names.ts';
import { createLocalRunner } from '../jobs/local/runner.ts';
import { findTools } from '../jobs/local/tools.ts';
import { channelsFromBlobs } from '../jobs/materialise.ts';
import { type Environment, inheritedEnvironment } from '../stack/environment.ts';
import { stateLayout } from '../stack/layout.ts';
import { localSecrets } from '../stack/secrets.ts';
import { readTargets } from '../stack/targets.ts';
import type { Store } from '../store/types.ts';
import { beating } from './beating.ts';
import { remoteRunner } from './hpc.ts';
import type { Logger } from './log.ts';
import { mirroredRegistry } from './registry.ts';
import { sageMakerRunner } from './sagemaker.ts';
import { slurmRunner } from './slurm.ts';

export interface WorkerContext {
  queue: TaskQueue;
  environment: Environment;
  store: Store;
  client: Client;
  log: Logger;
  /** Names of this machine's GPUs, as `nvidia-smi -L` lists them. */
  gpus: readonly string[];
  /** Aborted when this worker is asked to leave. */
  leaving: AbortSignal;
}

/** This machine's name, fit for a task queue and a path. */
export const hostName = (): string => machineName(hostname());

/** A look at a job on a shared folder is a round trip or two; the end of a job is known so soon. */
const sharedFolderPollMs = 1_000;

/** A job that its runner knows nothing about for so long is a person's to look for. */
const lostAfterMs = 15 * 60_000;

/** The composition root: what the activities of a queue stand on. */
export async function createActivities({
  queue,
  environment,
  store,
  client,
  log,
  gpus,
  leaving,
}: WorkerContext): Promise<object> {
  const layout = stateLayout(environment.home);
  const hostEnvironment = inheritedEnvironment();
  const secrets = localSecrets(layout.home, hostEnvironment);
  switch (queue) {
    case 'control': {
      const { observeCanary, observeProbation, watchDesired, ...quick } = createEndpointActivities({
        store,
        pollMs: 200,
        leaving,
      });
      const mirrored = await mirroredRegistry(environment.targetsFile, {
        store,
        log: (event, fields) => log.info(fields, event),
      });
      return {
        ...beating({
          ...createLoopActivities({ store, client }),
          ...createCycleActivities({ store, client, registry: mirrored.name }),
          ...createNotifyActivities({ store, secrets }),
          ...createWorkloadActivities({ store }),
          ...createRegistryActivities({ store, client, open: mirrored.open }),
          ...quick,
        }),
        // These beat by themselves, with what they have seen.
        ...{ observeCanary, observeProbation, watchDesired },
      };
    }
    case 'cpu': {
      const tools = { node: process.execPath, ...(await findTools({ PATH: hostEnvironment.PATH ?? '' })) };
      const models = new ModelFolders(store, join(layout.home, 'cache', 'models'));
      return {
        ...createDataActivities({ store, tools, secrets, hostEnvironment }),
        ...createTrainActivities({ store }),
        ...createEvaluateActivities({ store, models }),
        ...createQuantizeActivities({ store, models }),
        ...createGateActivities({ store }),
      };
    }
    case 'hpc': {
      const targets = await readTargets(environment.targetsFile);
      const say = (event: string, fields: Record<string, string | number>): void => log.info(fields, event);
      const channels = channelsFromBlobs(store.blobs);
      const slurm = slurmRunner(targets.slurm, { channels, secrets, hostEnvironment, log: say });
      const folder = join(layout.home, 'sagemaker');
      const sagemaker = sageMakerRunner(targets.sagemaker, { store, secrets, folder, log: say });
      const remote = remoteRunner(slurm, sagemaker);
      return createJobActivities({
        store,
        runners: { slurm: remote, sagemaker: remote },
        runnerOfQueue: 'slurm',
        pollMs: sharedFolderPollMs,
        lostAfterMs,
        isOpen: (workflow) => isOpen(client, workflow),
        leaving,
      });
    }
    case 'gpu': {
      const local = createLocalRunner({
        jobsFolder: layout.jobs,
        host: hostName(),
        channels: channelsFromBlobs(store.blobs),
        secrets,
        gpuLeases: { folder: join(layout.home, 'gpu-leases'), devices: gpus },
        hostEnvironment,
        log: (event, fields) => log.info(fields, event),
      });
      return createJobActivities({
        store,
        runners: { local },
        runnerOfQueue: 'local',
        hostQueue: hostQueue(queue, hostName()),
        pollMs: 200,
        lostAfterMs,
        isOpen: (workflow) => isOpen(client, workflow),
        leaving,
      });
    }
  }
}

/**
 * Throws for a workflow that the server does not know: that is no word that its job is unwanted. A server that lost its
 * database knows none, and the cycle that is run again from the store wants the job that runs.
 */
async function isOpen(client: Client, { workflowId, runId }: { workflowId: string; runId: string }): Promise<boolean> {
  return (await client.workflow.getHandle(workflowId, runId).describe()).status.name === 'RUNNING';
}
