import {
  type Client,
  isGrpcServiceError,
  type WorkflowHandle,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
} from '@temporalio/client';
import type { QueryDefinition, UpdateDefinition } from '@temporalio/common';
import type { Answer, Request } from '../contracts/messages.ts';
import { ask } from './ask.ts';
import { Goto3Error, NotFoundError, NoWorkers } from './errors.ts';

/** No acceptance within this: nobody is there to accept. */
const acceptWithinMs = 10_000;
const grpcDeadlineExceeded = 4;

/** Sends an update; what goes wrong becomes one of our errors, with the command that repairs it. */
export async function tell<T extends Request>(
  client: Client,
  handle: WorkflowHandle,
  update: UpdateDefinition<Answer, [T]>,
  request: T,
): Promise<Answer> {
  return await translated(client, handle.workflowId, () => ask(handle, update, request, acceptWithinMs));
}

export async function query<T>(client: Client, handle: WorkflowHandle, definition: QueryDefinition<T>): Promise<T> {
  return await translated(client, handle.workflowId, () => handle.query(definition));
}

async function translated<T>(client: Client, workflowId: string, run: () => Promise<T>): Promise<T> {
  try {
    return await client.withDeadline(Date.now() + acceptWithinMs, run);
  } catch (error) {
    if (error instanceof WorkflowNotFoundError)
      throw new NotFoundError(`${workflowId} is not running`, { cause: error });
    if (error instanceof WorkflowUpdateFailedError)
      throw new Goto3Error(error.cause?.message ?? error.message, { cause: error });
    if (grpcCode(error) === grpcDeadlineExceeded)
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
