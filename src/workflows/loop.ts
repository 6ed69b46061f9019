import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  getExternalWorkflowHandle,
  isCancellation,
  log,
  ParentClosePolicy,
  setCurrentDetails,
  startChild,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { LoopInput, OpenedCycle } from '../contracts/messages.ts';
import { taskQueues, workflowIds } from '../contracts/names.ts';
import { searchAttributes } from '../contracts/search-attributes.ts';
import { showAttention } from './attention.ts';
import { Bell } from './bell.ts';
import { retrainCycle } from './cycle.ts';
import { historyIsLong } from './history-is-long.ts';
import { hearLoopMessages } from './loop-messages.ts';
import { loopDetails } from './policies/details.ts';
import { initialLoopState, LoopMachine, type LoopStep } from './policies/loop.ts';
import { attentionOf, loopStatus, noticeOf } from './policies/loop-status.ts';
import { control, probe } from './proxies.ts';
import { rootCause } from './root-cause.ts';

/**
 * `while (true) goto 3`: lives for years with bounded state. Every decision is the machine's (policies/loop); this file
 * carries out what it says. What fails for good does not end it: it waits for a person who repairs it.
 */
export async function retrainingLoop(input: LoopInput): Promise<void> {
  const machine = new LoopMachine(input.loop, input.state ?? initialLoopState(input.specDigest));
  const bell = new Bell();
  const messages = hearLoopMessages(machine);
  /** Children do not follow a continue-as-new: what became of the cycle meanwhile? */
  let looksAfterCycle = input.state !== undefined;

  try {
    let goesOn = true;
    while (goesOn) {
      try {
        goesOn = await nextStep();
      } catch (error) {
        if (isCancellation(error)) throw error;
        machine.block(rootCause(error), Date.now());
      }
      if (historyIsLong()) await goOnAsNewRun();
    }
    await condition(() => !bell.isRinging, '10s');
    await condition(allHandlersFinished);
  } catch (error) {
    if (isCancellation(error)) await CancellationScope.nonCancellable(() => cancelRunningCycle(machine));
    throw error;
  }

  /** False: all cycles have run. */
  async function nextStep(): Promise<boolean> {
    if (looksAfterCycle) {
      looksAfterCycle = false;
      await checkCycle(machine);
    }
    await recordFuse(machine);
    show(machine);
    tellWhoIsOnCall();
    // From here to the wait nothing may be awaited: what changes meanwhile would go unnoticed.
    const step = machine.next(Date.now());
    if (step.kind === 'load') await load(machine);
    else if (step.kind === 'open') await openCycle(machine, step);
    else if (step.kind === 'start') await startCycle(machine, step.cycle);
    else if (step.kind === 'wait') await waitForChange(step);
    return step.kind !== 'finish';
  }

  /** One wait on timer OR new data OR the cycle OR a person. */
  async function waitForChange(step: Extract<LoopStep, { kind: 'wait' }>): Promise<void> {
    const seen = messages.revision;
    const waiting = new CancellationScope({ cancellable: true });
    const outcome = await waiting.run(async () => {
      const something = condition(
        () => messages.revision !== seen,
        step.untilMs === null ? '365d' : Math.max(1, step.untilMs - Date.now()),
      );
      const event = something.then((happened) => (happened ? ('message' as const) : ('time' as const)));
      try {
        return await Promise.race(step.watchData ? [event, watchData(machine)] : [event]);
      } finally {
        waiting.cancel();
      }
    });
    if (outcome === 'time' && step.checkCycle) await checkCycle(machine);
  }

  function tellWhoIsOnCall(): void {
    const notice = noticeOf(machine, Date.now());
    if (!notice) return;
    bell.ring({ loop: input.loop, n: null, specDigest: machine.state.specDigest }, notice, () => {
      machine.state.toldKey = notice.key;
      // Another one may have become due meanwhile.
      messages.changed();
    });
  }

  async function goOnAsNewRun(): Promise<void> {
    await condition(allHandlersFinished);
    await condition(() => !bell.isRinging, '10s');
    const { loop } = input;
    const { state } = machine;
    await continueAsNew<typeof retrainingLoop>({ loop, specDigest: state.specDigest, state });
  }
}

/** Begins, or begins again after something was repaired, with what the store says. */
async function load(machine: LoopMachine): Promise<void> {
  const { specDigest } = machine.state;
  machine.load(await control.loadLoop({ loop: machine.loop, specDigest }), specDigest);
  const { plan } = machine.state;
  if (!plan) return;
  upsertSearchAttributes([
    { key: searchAttributes.model, value: plan.model },
    { key: searchAttributes.endpoint, value: plan.endpoint },
  ]);
}

/** The number is taken in the store first, so that nothing can ever run under it a second time. */
async function openCycle(machine: LoopMachine, { reason, by }: { reason: string; by: string }): Promise<void> {
  const { specDigest, cycles: expected } = machine.state;
  const { workflowId, runId } = workflowInfo();
  const operation = `${workflowId}/${runId}/open/${expected?.entry ?? 0}`;
  const position = await control.openCycle({ loop: machine.loop, expected, specDigest, operation, reason, by });
  machine.opened({ n: position.entry, specDigest, reason, by }, position);
}

async function startCycle(machine: LoopMachine, { n, specDigest, reason, by }: OpenedCycle): Promise<void> {
  const { plan, consecutiveInconclusive: inconclusiveBefore } = machine.state;
  const { loop } = machine;
  const workflowId = workflowIds.cycle(loop, n);
  // Children do not follow a continue-as-new, so the cycle is abandoned to itself and reports by signal.
  const runId = await startChild(retrainCycle, {
    workflowId,
    taskQueue: taskQueues.control,
    parentClosePolicy: ParentClosePolicy.ABANDON,
    args: [{ loop, n, specDigest, reason, by, inconclusiveBefore }],
    staticSummary: `cycle ${n} of ${loop}: ${reason}`.slice(0, 200),
    typedSearchAttributes: [
      { key: searchAttributes.model, value: plan!.model },
      ...(plan!.endpoint ? [{ key: searchAttributes.endpoint, value: plan!.endpoint }] : []),
    ],
  }).then(
    (child) => child.firstExecutionRunId,
    async (error) => {
      // An earlier life of this loop started it, and it runs on: its report will come here.
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
      return (await control.describeCycle({ workflowId, runId: null })).runId;
    },
  );
  machine.started({ n, workflowId, runId, reason, startedAtMs: Date.now() }, Date.now());
}

/** Asks the data program; its answer may be a trigger. Cancelled with the wait it belongs to. */
async function watchData(machine: LoopMachine): Promise<'data'> {
  const { state, loop } = machine;
  state.dataHint = false;
  const askedAtMs = Date.now();
  const found = await probe.probeData.executeWithOptions({ summary: 'is there new data?' }, [
    { loop, specDigest: state.specDigest, waitMs: state.plan!.pollMs },
  ]);
  machine.dataAsked(found.trigger, askedAtMs, Date.now());
  return 'data';
}

/** A cycle that was terminated sends no report: it counts as failed. One whose report got lost has it in the store. */
async function checkCycle(machine: LoopMachine): Promise<void> {
  const { running } = machine.state;
  if (!running) return;
  const { n, workflowId, runId, reason, startedAtMs } = running;
  const cycle = await control.describeCycle({ workflowId, runId });
  if (cycle.open || machine.state.running?.n !== n) return;
  const detail = `its workflow ended as ${cycle.status} without a report`;
  const report = await control.reportLostCycle({ loop: machine.loop, n, reason, startedAtMs, detail });
  machine.finished(report, Date.now());
}

async function cancelRunningCycle(machine: LoopMachine): Promise<void> {
  const { running } = machine.state;
  if (!running) return;
  const look = async (): Promise<void> =>
    await checkCycle(machine).catch((error: unknown) => {
      log.warn('cannot look after the cycle', { loop: machine.loop, problem: rootCause(error) });
    });
  await getExternalWorkflowHandle(running.workflowId)
    .cancel()
    .catch(() => undefined);
  // One that was terminated will say nothing.
  await look();
  while (machine.state.running) if (!(await condition(() => machine.state.running === null, '1m'))) await look();
}

/** A pause and the failures in a row outlive the workflow. */
async function recordFuse(machine: LoopMachine): Promise<void> {
  const fuse = machine.fuseToRecord();
  if (!fuse) return;
  const expected = machine.state.fuse;
  const { workflowId, runId } = workflowInfo();
  const operation = `${workflowId}/${runId}/fuse/${(expected?.entry ?? 0) + 1}`;
  machine.fuseRecorded(fuse, await control.recordFuse({ loop: machine.loop, expected, ...fuse, operation }));
}

function show(machine: LoopMachine): void {
  const now = Date.now();
  setCurrentDetails(loopDetails(loopStatus(machine, now)));
  showAttention(attentionOf(machine, now)?.kind ?? null);
}
