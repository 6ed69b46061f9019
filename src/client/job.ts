import type { Client } from '@temporalio/client';
import { workflowIds } from '../contracts/names.ts';
import { InvalidArgument, NotRunning } from './errors.ts';
import { cancel } from './talk.ts';

/**
 * Asks a job to end in good order, through its workflow, so that it is not tried again. @param key `<loop>/<n>/<step>`,
 * with or without the attempt
 * @returns the workflow that was asked
 */
export async function cancelJob(temporal: Client, key: string): Promise<string> {
  const [, base] = /^([a-z0-9][a-z0-9._-]*\/\d+\/[a-z0-9-]+)(?:\/\d+)?$/.exec(key) ?? [];
  if (base === undefined)
    throw new InvalidArgument(`job ${JSON.stringify(key)}: expected <loop>/<n>/<step>, such as spam-filter/3/train`);
  const id = workflowIds.job(base);
  for await (const workflowId of candidates(temporal, id)) {
    try {
      await cancel(temporal, temporal.workflow.getHandle(workflowId));
      return workflowId;
    } catch (error) {
      if (!(error instanceof NotRunning)) throw error;
    }
  }
  throw new NotRunning(`the job ${base} is not running; goto3 job list ${base.split('/')[0]} shows its attempts`);
}

/** The job itself first; one that a person retried goes on under `…/from-<attempt>`, which the list knows. */
async function* candidates(temporal: Client, id: string): AsyncIterable<string> {
  yield id;
  const query = `WorkflowType = 'job' AND ExecutionStatus = 'Running' AND WorkflowId STARTS_WITH '${id}/'`;
  for await (const { workflowId } of temporal.workflow.list({ query })) yield workflowId;
}
