import type { WorkerOptions } from '@temporalio/worker';
import { deploymentName } from '../contracts/names.ts';

/**
 * Worker versioning (docs/versions.md): all workers of a build carry one deployment name and its build id. Off without an
 * id: a versioned worker gets no work until somebody makes its version the current one. Workflows say for themselves
 * whether they are pinned (`src/workflows/versioned.ts`); what says nothing follows the current version.
 */
export const deploymentOptions = (buildId: string | undefined): Pick<WorkerOptions, 'workerDeploymentOptions'> =>
  buildId === undefined
    ? {}
    : {
        workerDeploymentOptions: {
          version: { deploymentName, buildId },
          useWorkerVersioning: true,
          defaultVersioningBehavior: 'AUTO_UPGRADE',
        },
      };
