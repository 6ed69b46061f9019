import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  ChildWorkflowCancellationType,
  getExternalWorkflowHandle,
  isCancellation,
  log,
  ParentClosePolicy,
  type SignalDefinition,
  startChild,
  workflowInfo,
} from '@temporalio/workflow';
import type { CyclePlan, GateResult } from '../../contracts/activities.ts';
import type { Approvers, CycleEnded, RegistryDecision } from '../../contracts/messages.ts';
import { workflowIds } from '../../contracts/names.ts';
import { cycleEndedSignal, registryDecidedSignal } from '../messages.ts';
import { registryMirror } from '../registry.ts';
import { rootCause } from '../root-cause.ts';

const keyDigits = 12;

/**
 * Tells the registry's mirror of the candidate, where the plan names a registry. The cycle never waits for what it does
 * there, and never fails by it.
 */
export class Mirror {
  private workflowId: string | null = null;

  /** Once; a cycle that is run again finds the one that it left. */
  async open(plan: CyclePlan, { candidate, verdict }: GateResult, approvers: Approvers | null): Promise<void> {
    const { registry, loop, n, model } = plan;
    if (registry === undefined || this.workflowId !== null) return;
    const key = candidate.slice('sha256:'.length, 'sha256:'.length + keyDigits);
    const id = workflowIds.registryMirror(loop, n, key);
    const { workflowId, runId } = workflowInfo();
    try {
      await startChild(registryMirror, {
        workflowId: id,
        args: [
          { registrable: { registry, loop, n, model, candidate, verdict }, cycle: { workflowId, runId }, approvers },
        ],
        parentClosePolicy: ParentClosePolicy.ABANDON,
        cancellationType: ChildWorkflowCancellationType.ABANDON,
        staticSummary: `${model} of ${loop}/${n} in ${registry}`,
      });
    } catch (error) {
      if (isCancellation(error)) throw error;
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) {
        log.warn('the registry has no mirror of this cycle', { loop, n, problem: rootCause(error) });
        return;
      }
    }
    this.workflowId = id;
  }

  async decided(decision: RegistryDecision): Promise<void> {
    await this.tell(registryDecidedSignal, decision);
  }

  async ended(ended: CycleEnded): Promise<void> {
    await this.tell(cycleEndedSignal, ended);
  }

  private async tell<T>(signal: SignalDefinition<[T]>, message: T): Promise<void> {
    if (this.workflowId === null) return;
    await getExternalWorkflowHandle(this.workflowId)
      .signal(signal, message)
      .catch((error: unknown) => {
        if (isCancellation(error)) throw error;
        log.warn('the mirror in the registry heard nothing', { problem: rootCause(error) });
      });
  }
}
