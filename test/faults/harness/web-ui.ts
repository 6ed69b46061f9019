import { readAddresses } from '../../../src/stack/addresses.ts';
import type { StackUnderFault } from './stack.ts';

/** The buttons of the Temporal Web UI, by the HTTP API that its pages use, with the token that they send. */
export class WebUi {
  private readonly url: string;

  constructor({ layout }: StackUnderFault) {
    const port = readAddresses(layout)?.ports?.['temporal.ui'];
    if (port === undefined) throw new Error('the stack has no Web UI');
    this.url = `http://127.0.0.1:${port}`;
  }

  async terminate(workflowId: string, reason: string): Promise<void> {
    await this.press(workflowId, 'terminate', { reason });
  }

  /** To the end of its first workflow task: everything after it is done again. Resolves with the id of the new run. */
  async resetToBeginning(workflowId: string, runId: string, reason: string): Promise<string> {
    const answer = await this.press(workflowId, 'reset', {
      workflowExecution: { workflowId, runId },
      reason,
      requestId: `${reason} ${runId}`,
      workflowTaskFinishEventId: '4',
      resetReapplyType: 'RESET_REAPPLY_TYPE_ALL_ELIGIBLE',
    });
    return (answer as { runId: string }).runId;
  }

  private async press(workflowId: string, button: string, body: object): Promise<unknown> {
    const page = await fetch(this.url);
    const cookie = page.headers.get('set-cookie')?.split(';')[0] ?? '';
    const response = await fetch(
      `${this.url}/api/v1/namespaces/default/workflows/${encodeURIComponent(workflowId)}/${button}`,
      {
        method: 'POST',
        headers: { 'content-type': 'application/json', cookie, 'x-csrf-token': cookie.split('=')[1] ?? '' },
        body: JSON.stringify(body),
      },
    );
    const text = await response.text();
    if (!response.ok) throw new Error(`${button} of ${workflowId}: ${response.status} ${text}`);
    return JSON.parse(text);
  }
}
