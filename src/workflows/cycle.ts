import {
  allHandlersFinished,
  CancellationScope,
  condition,
  getExternalWorkflowHandle,
  isCancellation,
  log,
} from '@temporalio/workflow';
import type { CyclePlan, ReportDraft } from '../contracts/activities.ts';
import type { CycleInput, CycleResult } from '../contracts/messages.ts';
import { workflowIds } from '../contracts/names.ts';
import { Bell } from './bell.ts';
import { approve } from './cycle/approve.ts';
import { fineTune } from './cycle/fine-tune.ts';
import { evaluateAndJudge } from './cycle/judge.ts';
import { hearCycleMessages } from './cycle/messages.ts';
import { Mirror } from './cycle/mirror.ts';
import { rollOut } from './cycle/roll-out.ts';
import { type CycleRun, type Ending, enter, show } from './cycle/run.ts';
import { takeSnapshot } from './cycle/take-snapshot.ts';
import { cycleFinishedSignal } from './messages.ts';
import { CycleMachine } from './policies/cycle.ts';
import { control } from './proxies.ts';
import { rootCause } from './root-cause.ts';

/** Steps 2 to 7, once: data, fine-tune, evaluate, int8, gate, approval, rollout. Its loop says when the next one starts. */
export async function retrainCycle(input: CycleInput): Promise<CycleResult> {
  const cycle = new CycleMachine(input, Date.now());
  hearCycleMessages(cycle);
  const mirror = new Mirror();

  const known: Partial<ReportDraft> = { gpuHours: 0 };
  let plan: CyclePlan | null = null;
  let ending: Ending;
  try {
    plan = await control.beginCycle(input);
    ending = await stepsTwoToSeven({ cycle, plan, known, bell: new Bell(), mirror });
  } catch (error) {
    ending = isCancellation(error)
      ? { outcome: 'cancelled', detail: 'cancelled by an operator' }
      : { outcome: 'failed', detail: rootCause(error) };
  }
  return await CancellationScope.nonCancellable(() => close(cycle, plan, mirror, { ...known, ...ending }));
}

async function stepsTwoToSeven(run: CycleRun): Promise<Ending> {
  const { cycle, plan, known, mirror } = run;
  const data = await takeSnapshot(run);
  if (!data) return { outcome: 'noData', detail: 'the data program gave no rows to train on' };

  const training = await fineTune(run, data);
  if (training.state === 'diverged')
    return { outcome: 'failedGate', detail: `training diverged: ${training.reason}`, failureClass: 'diverged' };

  const verdict = await evaluateAndJudge(run, data, training.model);
  if (verdict.result === 'fail') return { outcome: 'failedGate', detail: verdict.reasons[0]! };

  const { approved, byPerson, ...approval } = await approve(run, verdict);
  if (!approved) {
    await mirror.decided({ approved, by: approval.by, reason: approval.reason, version: null });
    const detail = byPerson ? `by ${approval.by}: ${approval.reason}` : approval.reason;
    return { outcome: verdict.result === 'inconclusive' ? 'inconclusive' : 'rejected', detail };
  }
  known.approvedBy = approval.by;

  const { candidate } = verdict;
  const { version } = await control.registerVersion({
    ...{ plan, candidate, verdict: verdict.verdict },
    ...{ ...approval, byPerson },
  });
  known.version = version;
  cycle.learn('version', String(version));
  await mirror.open(plan, verdict, null);
  await mirror.decided({ approved, ...approval, version });

  if (plan.endpoint && plan.rollout)
    return await rollOut(run, plan.endpoint, { model: candidate, version, approvedByPerson: byPerson });
  await control.crownChampion({ plan, candidate, ...approval });
  return { outcome: 'approved', detail: `version ${version} is approved` };
}

/** The report goes to the store, where it counts; then the loop is told, if it is there. */
async function close(
  cycle: CycleMachine,
  plan: CyclePlan | null,
  mirror: Mirror,
  ending: Ending,
): Promise<CycleResult> {
  enter(cycle, 'done', 'nothing');
  const { loop, n, reason } = cycle.input;
  const startedAt = new Date(cycle.startedAtMs).toISOString();
  const draft: ReportDraft = { gpuHours: 0, loop, cycle: n, reason, startedAt, ...ending };
  const { report, finished } = await control
    .closeCycle({ plan, input: cycle.input, draft })
    // What it mentions cannot be read: better a short report than none.
    .catch(async (error: unknown) => {
      const { outcome, gpuHours } = draft;
      const detail = `${draft.detail} (the rest cannot be reported: ${rootCause(error)})`;
      const short: ReportDraft = { loop, cycle: n, reason, startedAt, outcome, detail, gpuHours };
      return await control.closeCycle({ plan: null, input: cycle.input, draft: short });
    });
  cycle.learn('outcome', `**${finished.outcome}**: ${finished.detail}`);
  show(cycle);
  await getExternalWorkflowHandle(workflowIds.loop(loop))
    .signal(cycleFinishedSignal, finished)
    .catch((error) => {
      log.warn('nobody took the report', { loop, n, problem: rootCause(error) });
    });
  const { outcome } = finished;
  await mirror.ended({ outcome, endpoint: outcome === 'deployed' ? (plan?.endpoint ?? null) : null });
  await condition(allHandlersFinished);
  return { ...finished, report };
}
