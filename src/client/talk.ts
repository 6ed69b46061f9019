import {
  type Client,
  isGrpcServiceError,
  QueryRejectedError,
  type WithStartWorkflowOperation,
  type WorkflowHandle,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client';
import type { QueryDefinition, UpdateDefinition, Workflow } from '@temporalio/common';
import type { Answer, Request } from '../contracts/messages.ts';
import { ask } from './ask.ts';
import { Goto3Error, NoServer, NotRunning, NoWorkers, Refused } from './errors.ts';

/** No acceptance within this: nobody is there to accept. */
const acceptWithinMs = 10_000;
const grpc = { deadlineExceeded: 4, unavailable: 14 };

/** Sends an update; what goes wrong becomes one of our errors, with the command that repairs it. */
export async function tell<T extends Request>(
  client: Client,
  handle: WorkflowHandle,
  update: UpdateDefinition<Answer, [T]>,
  request: T,
): Promise<Answer> {
  return await translated(client, handle.workflowId, () => ask(handle, update, request, acceptWithinMs));
}

/** The same to a workflow that need not run yet: then it is started, and is told first of all. */
export async function tellOrStart<W extends Workflow, T extends Request>(
  client: Client,
  start: WithStartWorkflowOperation<W>,
  update: UpdateDefinition<Answer, [T]>,
  request: T,
): Promise<Answer> {
  return await translated(client, start.options.workflowId, () =>
    client.workflow.executeUpdateWithStart(update, {
      args: [request],
      updateId: request.requestId,
      startWorkflowOperation: start,
    }),
  );
}

/** The answer, unless it says no. @throws Refused with the reason */
export function accepted(answer: Answer): Answer {
  if (answer.state === 'refused') throw new Refused(answer.reason);
  return answer;
}

/** Asks a workflow that is at work (`connect` makes a client that rejects queries of ended ones). @throws NotRunning */
export async function query<T>(client: Client, handle: WorkflowHandle, definition: QueryDefinition<T>): Promise<T> {
  return await translated(client, handle.workflowId, () => handle.query(definition));
}

/** Asks the workflow to end in good order; it may take its time. @throws NotRunning */
export async function cancel(client: Client, handle: WorkflowHandle): Promise<void> {
  await translated(client, handle.workflowId, async () => {
    // The server takes a cancel of an ended workflow for granted; whoever asks wants to know.
    const { status } = await handle.describe();
    if (status.name !== 'RUNNING')
      throw new NotRunning(`${handle.workflowId} is not running: it ended as ${status.name.toLowerCase()}`);
    await handle.cancel();
  });
}

async function translated<T>(client: Client, workflowId: string, run: () => Promise<T>): Promise<T> {
  try {
    return await client.withDeadline(Date.now() + acceptWithinMs, run);
  } catch (error) {
    if (error instanceof NotRunning) throw error;
    if (error instanceof WorkflowNotFoundError || error instanceof QueryRejectedError)
      throw new NotRunning(`${workflowId} is not running`, { cause: error });
    if (error instanceof WorkflowUpdateFailedError)
      throw new Goto3Error(error.cause?.message ?? error.message, { cause: error });
    const code = grpcCode(error);
    if (code === grpc.unavailable)
      throw new NoServer('the Temporal server went away; goto3 status tells when it is back', { cause: error });
    // A server that notices the caller's deadline first says CANCELLED, which the SDK has this class for.
    if (code === grpc.deadlineExceeded || error instanceof WorkflowUpdateRPCTimeoutOrCancelledError)
      throw new NoWorkers(
        `${workflowId} did not answer within ${acceptWithinMs / 1_000} s: is a control worker running? goto3 status tells`,
        { cause: error },
      );
    throw error;
  }
}

function grpcCode(error: unknown): number | undefined {
  for (let cause = error; cause instanceof Error; cause = cause.cause) if (isGrpcServiceError(cause)) return cause.code;
  return undefined;
}
