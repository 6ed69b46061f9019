import { workflowInfo } from '@temporalio/workflow';
import type { Answer, KickInput } from '../contracts/messages.ts';
import { control } from './proxies.ts';

/** What a Schedule starts: it asks the loop to retrain and never starts it. "Refused by limits" is a result. */
export async function kick(input: KickInput): Promise<Answer> {
  const { workflowId, runId } = workflowInfo();
  return await control.requestRetrain({
    loop: input.loop,
    request: { requestId: `${workflowId}/${runId}`, reason: input.reason, by: 'schedule' },
  });
}
