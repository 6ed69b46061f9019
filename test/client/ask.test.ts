import assert from 'node:assert/strict';
import type { WorkflowHandle } from '@temporalio/client';
import { ask } from '../../src/client/ask.ts';
import { unfreezeUpdate } from '../../src/workflows/messages.ts';

/** What the server says by gRPC, as the client wraps it. */
class Status extends Error {
  readonly details: string;
  readonly metadata = {};
  readonly code: number;

  constructor(code: number, details: string) {
    super(details);
    this.code = code;
    this.details = details;
  }
}

const request = { requestId: 'ticket-1', by: 'ann', reason: 'repaired' };

/** A workflow that answers with these, one after the other, and the ids that it was asked under. */
function workflow(answers: (Status | 'done')[]): { handle: WorkflowHandle; asked: string[] } {
  const asked: string[] = [];
  const executeUpdate = async (_: unknown, { updateId }: { updateId: string }): Promise<unknown> => {
    asked.push(updateId);
    const answer = answers[Math.min(asked.length, answers.length) - 1]!;
    if (answer instanceof Status) throw new Error('Workflow Update failed', { cause: answer });
    return { state: answer };
  };
  return { handle: { workflowId: 'endpoint/mail', executeUpdate } as unknown as WorkflowHandle, asked };
}

describe('ask', () => {
  const failedTask = new Status(9, 'unexpected workflow task failure');

  it('asks again under the same id when the workflow task failed under the update', async () => {
    const { handle, asked } = workflow([failedTask, new Status(8, 'too many'), 'done']);
    assert.equal((await ask(handle, unfreezeUpdate, request)).state, 'done');
    assert.deepEqual(asked, ['ticket-1', 'ticket-1', 'ticket-1']);
  });

  it('gives up on a workflow whose every task fails, and at once on what no trying mends', async () => {
    const broken = workflow([failedTask]);
    await assert.rejects(ask(broken.handle, unfreezeUpdate, request), /Workflow Update failed/);
    assert.equal(broken.asked.length, 6);
    const gone = workflow([new Status(5, 'not found')]);
    await assert.rejects(ask(gone.handle, unfreezeUpdate, request), /Workflow Update failed/);
    assert.equal(gone.asked.length, 1);
  });
});
