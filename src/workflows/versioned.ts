import { setWorkflowOptions } from '@temporalio/workflow';
import * as workflows from './index.ts';

/**
 * What a versioned control worker runs (docs/versions.md): what ends is finished by the build that began it, what lives for
 * years follows the current one. A file of its own, because a server fails the tasks of an unversioned worker whose
 * workflows say how they are versioned (1.29.1: "versioning behavior cannot be specified without deployment options").
 */
const { retrainingLoop, endpoint, ...bounded } = workflows;
for (const workflow of Object.values(bounded) as Workflow[])
  setWorkflowOptions({ versioningBehavior: 'PINNED' }, workflow);
for (const workflow of [retrainingLoop, endpoint] as Workflow[])
  setWorkflowOptions({ versioningBehavior: 'AUTO_UPGRADE' }, workflow);

type Workflow = (...input: never[]) => Promise<unknown>;

export * from './index.ts';
