import { CancellationScope, condition, isCancellation, workflowInfo } from '@temporalio/workflow';
import type { Digest } from '../../contracts/digest.ts';
import type { Answer, DeployFinished, DeployRequest } from '../../contracts/messages.ts';
import { control } from '../proxies.ts';
import { type CycleRun, type Ending, enter, tell } from './run.ts';

/** An endpoint whose workflow was terminated knows nothing of a rollout: asked again, its next life takes it up. */
const askAgainEvery = '1h';

/** Step 7, through the endpoint's workflow: it decides by evidence and tells the outcome by signal. */
export async function rollOut(
  run: CycleRun,
  endpoint: string,
  { model, version, approvedByPerson }: { model: Digest; version: number; approvedByPerson: boolean },
): Promise<Ending> {
  const { cycle, plan } = run;
  enter(cycle, 'rollout', `the canary on ${endpoint}`);
  const { workflowId } = workflowInfo();
  cycle.deploy = { requestId: workflowId, finished: null };
  const request: DeployRequest = {
    ...{ requestId: workflowId, reason: `version ${version} passed the gate`, by: workflowId },
    ...{ model, modelName: plan.model, loop: plan.loop, version, approvedByPerson },
    ...{ plan: plan.rollout!, replyTo: workflowId },
  };
  const outcome = await deployed(run, endpoint, request);
  if ('state' in outcome)
    return { outcome: outcome.state === 'refused' ? 'approvedNotDeployed' : 'deployed', detail: outcome.reason };
  return await reported(run, endpoint, version, outcome);
}

/** The endpoint's answer where that is all there is to say, else what it tells in the end. */
async function deployed(
  { cycle }: CycleRun,
  endpoint: string,
  request: DeployRequest,
): Promise<Answer | DeployFinished> {
  const deploy = cycle.deploy!;
  try {
    do {
      const answer = await control.requestDeploy({ endpoint, request });
      if (deploy.finished) break;
      if (answer.state === 'refused' || answer.state === 'done') return answer;
    } while (!(await condition(() => deploy.finished !== null, askAgainEvery)));
    return deploy.finished!;
  } catch (error) {
    if (isCancellation(error)) {
      const { requestId } = request;
      await CancellationScope.nonCancellable(() =>
        control.withdrawDeploy({ endpoint, deploy: requestId, reason: 'the cycle was cancelled', by: requestId }),
      );
    }
    throw error;
  }
}

async function reported(
  run: CycleRun,
  endpoint: string,
  version: number,
  { outcome, reason, deployment }: DeployFinished,
): Promise<Ending> {
  if (deployment) run.known.deployment = deployment;
  switch (outcome) {
    case 'deployed':
      return { outcome, detail: `version ${version}: ${reason}` };
    case 'rolledBack':
      tell(
        run,
        'rolledBack',
        `version ${version} was rolled back: ${reason}`,
        `goto3 endpoint unfreeze ${endpoint} --reason "..."`,
      );
      // The cycle has nothing else to wait for, and its loop waits for it: not for long.
      await condition(() => !run.bell.isRinging, '1m');
      return { outcome, detail: reason };
    default:
      return { outcome: 'approvedNotDeployed', detail: `${outcome}: ${reason}` };
  }
}
