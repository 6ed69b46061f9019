import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import { executeChild, ParentClosePolicy, sleep } from '@temporalio/workflow';
import type { JobInput, JobResult } from '../../contracts/messages.ts';
import { taskQueues, workflowIds } from '../../contracts/names.ts';
import { job } from '../job.ts';

const lookAgainAfter = '5s';

/**
 * A job of this cycle, as its child. A cycle that somebody reset in the Web UI meets the child of its earlier run, which
 * nobody can await any more: it is left to end, and then the same job, asked for again under its name, has its result.
 */
export async function runJob(input: JobInput, staticSummary: string): Promise<JobResult> {
  const { key, firstAttempt } = input;
  while (true)
    try {
      return await executeChild(job, {
        workflowId: workflowIds.job(firstAttempt === 1 ? key : `${key}/from-${firstAttempt}`),
        taskQueue: taskQueues.control,
        parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
        args: [input],
        staticSummary,
      });
    } catch (error) {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      await sleep(lookAgainAfter, { summary: 'the job of an earlier run of this cycle still runs' });
    }
}
