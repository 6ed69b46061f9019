import type { EndpointInput } from './messages.ts';
import { taskQueues, workflowIds } from './names.ts';

/** How the workflow of an endpoint is started by whoever needs it first; one that runs is taken as it is. */
export const endpointStart = (endpoint: string) => ({
  workflowId: workflowIds.endpoint(endpoint),
  taskQueue: taskQueues.control,
  args: [{ endpoint }] as [EndpointInput],
  workflowIdConflictPolicy: 'USE_EXISTING' as const,
  staticSummary: `what ${endpoint} serves`,
});
