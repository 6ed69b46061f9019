import { isGrpcServiceError, type WorkflowHandle } from '@temporalio/client';
import type { UpdateDefinition } from '@temporalio/common';
import type { Answer, Request } from '../contracts/messages.ts';

/** The server takes 10 updates of one workflow at a time (`history.maxInFlightUpdates`); others may ask beside us. */
const inFlightPerWorkflow = 8;
/** gRPC status of an update that found no place. */
const resourceExhausted = 8;
/**
 * gRPC status of an update whose workflow task failed under it (WorkflowNotReady, temporalio/temporal#7296): often a task
 * that the server took back from its worker, which the next one mends; code that fails every task fails these tries too.
 */
const failedPrecondition = 9;
const triesOfFailedTask = 5;

const turns = new Map<string, { running: number; waiting: (() => void)[] }>();

/**
 * Sends an update under the caller's request id, so that asking twice is asking once, and waits its turn when many ask
 * the same workflow at the same time: a herd of callers sees a queue, not an error.
 */
export async function ask<T extends Request>(
  handle: WorkflowHandle,
  update: UpdateDefinition<Answer, [T]>,
  request: T,
  withinMs = 60_000,
): Promise<Answer> {
  const deadline = Date.now() + withinMs;
  return await inTurn(handle.workflowId, async () => {
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await handle.executeUpdate(update, { args: [request], updateId: request.requestId });
      } catch (error) {
        const mayPass =
          hasStatus(error, resourceExhausted) || (hasStatus(error, failedPrecondition) && attempt < triesOfFailedTask);
        if (!mayPass || Date.now() >= deadline) throw error;
        const backoffMs = Math.min(1_000, 50 * 2 ** attempt);
        await new Promise((resolve) => setTimeout(resolve, backoffMs * (0.5 + Math.random())));
      }
    }
  });
}

async function inTurn<T>(workflowId: string, run: () => Promise<T>): Promise<T> {
  const turn = turns.get(workflowId) ?? { running: 0, waiting: [] };
  turns.set(workflowId, turn);
  if (turn.running >= inFlightPerWorkflow) await new Promise<void>((resolve) => turn.waiting.push(resolve));
  else turn.running += 1;
  try {
    return await run();
  } finally {
    // A waiting caller takes over the place; otherwise it is given up.
    const next = turn.waiting.shift();
    if (next) next();
    else turn.running -= 1;
    if (turn.running === 0) turns.delete(workflowId);
  }
}

function hasStatus(error: unknown, code: number): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause)
    if (isGrpcServiceError(cause) && cause.code === code) return true;
  return false;
}
