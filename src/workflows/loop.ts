import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  ApplicationFailure,
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  getExternalWorkflowHandle,
  isCancellation,
  ParentClosePolicy,
  setCurrentDetails,
  setHandler,
  startChild,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import { failureTypes } from '../contracts/failures.ts';
import type { CycleFinished, LoopInput } from '../contracts/messages.ts';
import { taskQueues, workflowIds } from '../contracts/names.ts';
import { searchAttributes } from '../contracts/search-attributes.ts';
import { acceptSignal } from './accept-signal.ts';
import { showAttention } from './attention.ts';
import { retrainCycle } from './cycle.ts';
import { decodeUpdate } from './decode.ts';
import {
  cycleFinishedSignal,
  decodeCycleFinished,
  decodeNewData,
  decodeRequest,
  decodeSetSpec,
  loopStatusQuery,
  newDataSignal,
  pauseUpdate,
  resumeUpdate,
  retrainUpdate,
  setSpecUpdate,
} from './messages.ts';
import { loopDetails } from './policies/details.ts';
import { initialLoopState, LoopMachine, type LoopStep } from './policies/loop.ts';
import { control, probe } from './proxies.ts';

/**
 * `while (true) goto 3`: lives for years with bounded state. Every decision is the machine's (policies/loop); this file
 * wires messages to it and carries out what it says.
 */
export async function retrainingLoop(input: LoopInput): Promise<void> {
  let machine: LoopMachine | undefined = input.state && new LoopMachine(input.loop, input.state);
  /** Rises with everything that may change the next step. */
  let revision = 0;
  let recordedFuse = fuseOf(machine);

  const loaded = async (): Promise<LoopMachine> => {
    await condition(() => machine !== undefined);
    return machine!;
  };
  const dropped = (): void => {
    if (machine) machine.state.droppedSignals += 1;
  };
  const changed = <T>(answer: T): T => {
    revision += 1;
    return answer;
  };

  setHandler(retrainUpdate, async (request) => changed((await loaded()).retrain(request, Date.now())), {
    validator: (request) => void decodeUpdate(decodeRequest, request),
    description: 'Start a cycle now, or queue one: {requestId, reason, by}',
  });
  setHandler(pauseUpdate, async (request) => changed((await loaded()).pause(request, Date.now())), {
    validator: (request) => void decodeUpdate(decodeRequest, request),
    description: 'Start no further cycle: {requestId, reason, by}',
  });
  setHandler(resumeUpdate, async (request) => changed((await loaded()).resume(request)), {
    validator: (request) => void decodeUpdate(decodeRequest, request),
    description: 'End a pause and reset the fuse: {requestId, reason, by}',
  });
  setHandler(
    setSpecUpdate,
    async (request) => {
      const ours = await loaded();
      const { plan } = await control.loadLoop({ loop: input.loop, specDigest: request.specDigest });
      return changed(ours.setSpec(request.requestId, request.specDigest, plan));
    },
    {
      validator: (request) => void decodeUpdate(decodeSetSpec, request),
      description: 'Use another spec from the next cycle on; `goto3 apply` sends it',
    },
  );
  setHandler(newDataSignal, (message) => {
    if (!acceptSignal(decodeNewData, message, dropped)) return;
    if (machine) machine.state.dataHint = true;
    changed(undefined);
  });
  setHandler(cycleFinishedSignal, (message) => {
    const report = acceptSignal(decodeCycleFinished, message, dropped);
    if (report && machine?.finished(report, Date.now())) changed(undefined);
  });
  setHandler(loopStatusQuery, () => {
    if (!machine) throw ApplicationFailure.nonRetryable('the loop is still reading its spec', failureTypes.notYet);
    return machine.status(Date.now());
  });

  if (!machine) {
    const before = await control.loadLoop({ loop: input.loop, specDigest: input.specDigest });
    const fresh = new LoopMachine(input.loop, initialLoopState(input.specDigest, before.plan));
    const { position: fuse, consecutiveFailures, paused } = before.fuse;
    const { cycles, finishedCycles, recent } = before;
    Object.assign(fresh.state, { fuse, consecutiveFailures, paused, cycles, finishedCycles, recent });
    recordedFuse = fuseOf(fresh);
    machine = fresh;
    upsertSearchAttributes([
      { key: searchAttributes.model, value: before.plan.model },
      { key: searchAttributes.endpoint, value: before.plan.endpoint },
    ]);
    if (before.unfinished) await startCycle(fresh, before.unfinished.n, before.unfinished.reason, before.unfinished.by);
  }
  const ours = machine;
  if (input.state) await checkCycle();

  try {
    while (true) {
      await showStatus();
      const step = ours.next(Date.now());
      if (step.kind === 'finish') break;
      if (step.kind === 'start') await openAndStartCycle(step);
      else await waitForChange(step);

      if (workflowInfo().continueAsNewSuggested) {
        await condition(allHandlersFinished);
        await continueAsNew<typeof retrainingLoop>({
          loop: input.loop,
          specDigest: ours.state.specDigest,
          state: ours.state,
        });
      }
    }
    await condition(allHandlersFinished);
  } catch (error) {
    if (isCancellation(error)) await CancellationScope.nonCancellable(cancelRunningCycle);
    throw error;
  }

  async function openAndStartCycle(step: Extract<LoopStep, { kind: 'start' }>): Promise<void> {
    const expected = ours.state.cycles;
    const { workflowId, runId } = workflowInfo();
    const opened = await control.openCycle({
      loop: input.loop,
      expected,
      operation: `${workflowId}/${runId}/open/${expected?.entry ?? 0}`,
      reason: step.reason,
      by: step.by,
    });
    ours.state.cycles = opened;
    await startCycle(ours, opened.entry, step.reason, step.by);
  }

  async function startCycle(current: LoopMachine, n: number, reason: string, by: string): Promise<void> {
    const { state } = current;
    const workflowId = workflowIds.cycle(input.loop, n);
    // Children do not follow a continue-as-new, so the cycle is abandoned to itself and reports by signal.
    const runId = await startChild(retrainCycle, {
      workflowId,
      taskQueue: taskQueues.control,
      parentClosePolicy: ParentClosePolicy.ABANDON,
      args: [
        {
          loop: input.loop,
          n,
          specDigest: state.specDigest,
          reason,
          by,
          inconclusiveBefore: state.consecutiveInconclusive,
        },
      ],
      staticSummary: `cycle ${n} of ${input.loop}: ${reason}`.slice(0, 200),
      typedSearchAttributes: [
        { key: searchAttributes.model, value: state.plan.model },
        ...(state.plan.endpoint ? [{ key: searchAttributes.endpoint, value: state.plan.endpoint }] : []),
      ],
    }).then(
      (child) => child.firstExecutionRunId,
      async (error) => {
        // An earlier life of this loop started it, and it runs on: its report will come here.
        if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
        return (await control.describeCycle({ workflowId, runId: null })).runId;
      },
    );
    current.started({ n, workflowId, runId, reason, startedAtMs: Date.now() }, state.cycles!, Date.now());
  }

  /** One wait on timer OR new data OR the cycle OR a person. */
  async function waitForChange(step: Extract<LoopStep, { kind: 'wait' }>): Promise<void> {
    const seen = revision;
    const waiting = new CancellationScope({ cancellable: true });
    const outcome = await waiting.run(async () => {
      const something = condition(
        () => revision !== seen,
        step.untilMs === null ? '365d' : Math.max(1, step.untilMs - Date.now()),
      );
      const event = something.then((happened) => (happened ? ('message' as const) : ('time' as const)));
      const first = await Promise.race(step.watchData ? [event, watchData()] : [event]);
      waiting.cancel();
      return first;
    });
    if (outcome === 'time' && step.checkCycle) await checkCycle();
  }

  /** Asks the data program; its answer may be a trigger. Cancelled with the wait it belongs to. */
  async function watchData(): Promise<'data'> {
    ours.state.dataHint = false;
    const askedAtMs = Date.now();
    const waitMs = ours.state.plan.pollMs;
    const found = await probe.probeData.executeWithOptions({ summary: 'is there new data?' }, [
      { loop: input.loop, specDigest: ours.state.specDigest, waitMs },
    ]);
    ours.dataAsked(found.trigger, askedAtMs, Date.now());
    return 'data';
  }

  /** A cycle that was terminated sends no report: it counts as failed. */
  async function checkCycle(): Promise<void> {
    const { running } = ours.state;
    if (!running) return;
    const cycle = await control.describeCycle({ workflowId: running.workflowId, runId: running.runId });
    if (cycle.open || ours.state.running?.n !== running.n) return;
    const detail = `its workflow ended as ${cycle.status} without a report`;
    await control.reportLostCycle({
      loop: input.loop,
      n: running.n,
      reason: running.reason,
      startedAtMs: running.startedAtMs,
      detail,
    });
    const lost: CycleFinished = {
      n: running.n,
      outcome: 'failed',
      detail,
      failed: true,
      inconclusive: false,
      gpuHours: 0,
    };
    ours.finished(lost, Date.now());
  }

  async function cancelRunningCycle(): Promise<void> {
    const { running } = ours.state;
    if (!running) return;
    await getExternalWorkflowHandle(running.workflowId)
      .cancel()
      .catch(() => undefined);
    while (ours.state.running) if (!(await condition(() => ours.state.running === null, '1m'))) await checkCycle();
  }

  async function showStatus(): Promise<void> {
    const now = Date.now();
    setCurrentDetails(loopDetails(ours.status(now)));
    showAttention(ours.attention(now));
    const fuse = fuseOf(ours);
    if (fuse === recordedFuse) return;
    recordedFuse = fuse;
    const { consecutiveFailures, paused, fuse: expected } = ours.state;
    const operation = `${workflowInfo().workflowId}/fuse/${(expected?.entry ?? 0) + 1}`;
    ours.state.fuse = await control.recordFuse({ loop: input.loop, expected, consecutiveFailures, paused, operation });
  }
}

const fuseOf = (machine: LoopMachine | undefined): string =>
  JSON.stringify(machine ? [machine.state.consecutiveFailures, machine.state.paused] : []);
