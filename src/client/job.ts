import type { Client } from '@temporalio/client';
import { jobKeyForms, parseJobKey } from '../contracts/job-keys.ts';
import { workflowIds } from '../contracts/names.ts';
import { InvalidArgument, NotRunning } from './errors.ts';
import { cancel } from './talk.ts';

/**
 * Asks a job to end in good order, through its workflow, so that it is not tried again. @param text
 * `<loop>/<n>/<step>` or `<workload>/<key>/<job>`, with or without the attempt
 * @returns the workflow that was asked
 */
export async function cancelJob(temporal: Client, text: string): Promise<string> {
  const job = parseJobKey(text);
  if (!job) throw new InvalidArgument(`job ${JSON.stringify(text)}: expected ${jobKeyForms}`);
  const id = workflowIds.job(job.key);
  for await (const workflowId of candidates(temporal, id)) {
    try {
      await cancel(temporal, temporal.workflow.getHandle(workflowId));
      return workflowId;
    } catch (error) {
      if (!(error instanceof NotRunning)) throw error;
    }
  }
  throw new NotRunning(`the job ${job.key} is not running; goto3 job list ${job.owner} shows its attempts`);
}

/** The job itself first; one that a person retried goes on under `…/from-<attempt>`, which the list knows. */
async function* candidates(temporal: Client, id: string): AsyncIterable<string> {
  yield id;
  const query = `WorkflowType = 'job' AND ExecutionStatus = 'Running' AND WorkflowId STARTS_WITH '${id}/'`;
  for await (const { workflowId } of temporal.workflow.list({ query })) yield workflowId;
}
