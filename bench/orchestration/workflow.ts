import { proxyActivities } from '@temporalio/workflow';

export const stepCount = 7;
/** The step that takes a while in the runs where the orchestrator is killed. */
export const slowStep = 4;

export interface StepActivities {
  run(input: { step: number; notes: string; slowSeconds: number }): Promise<void>;
}

export const workflowsQueue = 'workflows';
export const stepQueue = (step: number): string => `step-${step}`;

/** Seven activities one after the other, each on a queue of its own, with the options that our quick activities have. */
export async function sevenSteps(input: { notes: string; slowSeconds: number }): Promise<void> {
  for (let step = 1; step <= stepCount; step++) {
    const { run } = proxyActivities<StepActivities>({
      taskQueue: stepQueue(step),
      startToCloseTimeout: '1m',
      heartbeatTimeout: '10s',
      retry: { initialInterval: '250ms', backoffCoefficient: 2, maximumInterval: '30s' },
    });
    await run({ step, ...input });
  }
}
