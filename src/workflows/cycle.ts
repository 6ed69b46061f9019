import {
  allHandlersFinished,
  CancellationScope,
  condition,
  executeChild,
  getExternalWorkflowHandle,
  isCancellation,
  log,
  ParentClosePolicy,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { CyclePlan, GateResult, ReportDraft, SnapshotResult } from '../contracts/activities.ts';
import type { Digest } from '../contracts/digest.ts';
import type { FailureClass } from '../contracts/failures.ts';
import type { CycleInput, CycleResult, CycleStage, JobResult } from '../contracts/messages.ts';
import { taskQueues, workflowIds } from '../contracts/names.ts';
import { searchAttributes } from '../contracts/search-attributes.ts';
import { acceptSignal } from './accept-signal.ts';
import { showAttention } from './attention.ts';
import { decodeUpdate } from './decode.ts';
import { job } from './job.ts';
import {
  acceptDataUpdate,
  approveUpdate,
  cycleFinishedSignal,
  cycleStatusQuery,
  decodeDeployFinished,
  decodeDropData,
  decodeRequest,
  decodeRetryCycle,
  deployFinishedSignal,
  dropDataUpdate,
  rejectUpdate,
  retryUpdate,
} from './messages.ts';
import { approvalRule, CycleMachine, type PersonsWord, type Waiting } from './policies/cycle.ts';
import { cycleDetails } from './policies/details.ts';
import { control, heavy } from './proxies.ts';
import { rootCause } from './root-cause.ts';

/** How a cycle ends: outcome, a sentence, and what was known by then. */
type Ending = Pick<ReportDraft, 'outcome' | 'detail'> & Partial<ReportDraft>;

/** Steps 2 to 7, once: data, fine-tune, evaluate, int8, gate, approval, rollout. Its loop says when the next one starts. */
export async function retrainCycle(input: CycleInput): Promise<CycleResult> {
  const machine = new CycleMachine(input, Date.now());
  wireMessages(machine);

  const known: Partial<ReportDraft> = { gpuHours: 0 };
  let plan: CyclePlan | null = null;
  let ending: Ending;
  try {
    plan = await control.beginCycle(input);
    ending = await stepsTwoToSeven(machine, plan, known);
  } catch (error) {
    ending = isCancellation(error)
      ? { outcome: 'cancelled', detail: 'cancelled by an operator' }
      : { outcome: 'failed', detail: rootCause(error) };
  }
  return await CancellationScope.nonCancellable(() => close(machine, plan, { ...known, ...ending }));
}

async function stepsTwoToSeven(cycle: CycleMachine, plan: CyclePlan, known: Partial<ReportDraft>): Promise<Ending> {
  const data = await takeSnapshot(cycle, plan);
  if (!data) return { outcome: 'noData', detail: 'the data program gave no rows to train on' };
  Object.assign(known, { dataset: data.dataset, rowCount: data.rowCount, newRows: data.newRows });

  const training = await fineTune(cycle, plan, data, known);
  if (training.state === 'diverged')
    return { outcome: 'failedGate', detail: `training diverged: ${training.reason}`, failureClass: 'diverged' };
  known.candidate = training.model;
  known.precision = 'fp32';

  const verdict = await evaluateAndJudge(cycle, plan, data, training.model);
  known.verdict = verdict.verdict;
  known.verdictResult = verdict.result;
  known.candidate = verdict.candidate;
  known.precision = verdict.precision;
  if (verdict.result === 'fail') return { outcome: 'failedGate', detail: verdict.reasons[0]! };

  const approval = await approve(cycle, plan, verdict);
  if (!approval.approved)
    return { outcome: verdict.result === 'inconclusive' ? 'inconclusive' : 'rejected', detail: approval.reason };
  known.approvedBy = approval.by;
  const { version } = await control.registerVersion({
    plan,
    candidate: verdict.candidate,
    verdict: verdict.verdict,
    by: approval.by,
    reason: approval.reason,
    byPerson: approval.byPerson,
  });
  known.version = version;
  cycle.learn('version', String(version));

  if (!plan.endpoint || !plan.rollout) {
    await control.crownChampion({ plan, candidate: verdict.candidate, by: approval.by, reason: approval.reason });
    return { outcome: 'approved', detail: `version ${version} is approved` };
  }
  return await rollOut(cycle, plan, plan.endpoint, verdict.candidate, version, approval.byPerson, known);
}

/** Step 3. Null: there is nothing to train on. */
async function takeSnapshot(cycle: CycleMachine, plan: CyclePlan): Promise<SnapshotResult | null> {
  enter(cycle, 'data', 'the data program');
  let data = await heavy.snapshotData.executeWithOptions({ summary: 'rows since the last snapshot' }, [{ plan }]);
  if (data.trainRows === 0) return null;
  // Also without new rows: a cursor that moved, rows that did not fit, another hold-out share.
  if (data.dataset !== plan.dataset?.digest) {
    let who = { by: 'goto3', reason: 'the data checks passed' };
    const { problems } = await heavy.checkData.executeWithOptions(
      { summary: 'sizes, classes, disagreement with live answers' },
      [{ plan, dataset: data.dataset }],
    );
    if (problems.length > 0) {
      const problem = problems.map((p) => p.message).join('; ');
      cycle.learn('held back', problem);
      const word = await park(cycle, plan, { kind: 'data', dataset: data.dataset }, problem, [
        `goto3 cycle accept-data ${plan.loop}/${plan.n} --reason "..."`,
        `goto3 cycle drop-data ${plan.loop}/${plan.n} --reason "..."`,
      ]);
      who = { by: word.by, reason: word.reason };
      if (word.kind === 'dropData')
        data = await heavy.dropData({ plan, dataset: data.dataset, slice: word.slice ?? null });
      enter(cycle, 'data', 'the snapshot');
    }
    await heavy.acceptData({ plan, dataset: data.dataset, ...who });
    if (data.trainRows === 0) return null;
  }
  cycle.learn('data', `${data.rowCount} rows, ${data.newRows} new, ${data.holdoutRows} held out`);
  return data;
}

/** Steps 4 and 5: a Job on the gpu queue; a failure that no retry repairs waits for a person. */
async function fineTune(
  cycle: CycleMachine,
  plan: CyclePlan,
  data: SnapshotResult,
  known: Partial<ReportDraft>,
): Promise<{ state: 'trained'; model: Digest } | { state: 'diverged'; reason: string }> {
  enter(cycle, 'train', `the fine-tune on ${data.trainRows} rows`);
  const { specDigest } = await heavy.prepareTraining({ plan, dataset: data.dataset });
  const key = `${plan.loop}/${plan.n}/train`;
  let resources = plan.resources;
  let firstAttempt = 1;
  while (true) {
    const result: JobResult = await executeChild(job, {
      workflowId: workflowIds.job(firstAttempt === 1 ? key : `${key}/from-${firstAttempt}`),
      taskQueue: taskQueues.control,
      parentClosePolicy: ParentClosePolicy.REQUEST_CANCEL,
      args: [{ key, specDigest, queue: 'gpu', resources, maxResources: plan.maxResources, firstAttempt }],
      staticSummary: `fine-tune of ${plan.loop}, cycle ${plan.n}`,
    });
    known.gpuHours = (known.gpuHours ?? 0) + result.gpuHours;
    if (result.state === 'succeeded' && result.model) {
      const model = await heavy.registerModel({
        plan,
        dataset: data.dataset,
        jobKey: key,
        jobSpec: specDigest,
        files: result.model,
        metrics: result.metrics,
        durationMs: result.durationMs,
        attempts: result.lastAttempt,
      });
      cycle.learn(
        'trained',
        `${(model.sizeBytes / 2 ** 20).toFixed(1)} MiB in ${(result.durationMs / 1000).toFixed(1)} s`,
      );
      return { state: 'trained', model: model.model };
    }
    if (result.failureClass === 'diverged') return { state: 'diverged', reason: result.reason };
    const failureClass: FailureClass = result.failureClass ?? 'userError';
    cycle.learn('training failed', `${failureClass}: ${result.reason}`);
    const word = await park(cycle, plan, { kind: 'retry' }, `training failed (${failureClass}): ${result.reason}`, [
      `goto3 cycle retry ${plan.loop}/${plan.n} --reason "..."`,
      `goto3 job logs ${key}/${result.lastAttempt}`,
    ]);
    if (word.kind === 'retry') resources = { ...resources, ...word.resources };
    firstAttempt = result.lastAttempt + 1;
    enter(cycle, 'train', 'the fine-tune, again');
  }
}

/** Step 6: every contestant on the same rows, then the verdict. */
async function evaluateAndJudge(
  cycle: CycleMachine,
  plan: CyclePlan,
  data: SnapshotResult,
  model: Digest,
): Promise<GateResult> {
  enter(cycle, 'evaluate', 'the hold-out scores');
  const { dataset } = data;
  const { rows, rowCount } = await heavy.selectHoldout({ plan, dataset });
  cycle.learn('hold-out', `${rowCount} rows`);
  const evaluate = async (name: string, contestant: Digest) => ({
    model: contestant,
    ...(await heavy.evaluateModel.executeWithOptions({ summary: name }, [{ plan, model: contestant, dataset, rows }])),
  });
  const candidate = await evaluate('candidate', model);
  const champion = plan.champion && (await evaluate('champion', plan.champion.digest));
  const anchor =
    plan.anchor && (plan.anchor.digest === champion?.model ? champion : await evaluate('anchor', plan.anchor.digest));

  let int8: typeof candidate | null = null;
  if (plan.quantizeMargin !== null && candidate.servable) {
    enter(cycle, 'quantize', 'the int8 contestant');
    const quantized = await heavy.quantizeModel({ plan, model });
    if (quantized.quantized > 0) int8 = await evaluate('candidate, int8', quantized.model);
    const ratio = (quantized.sizeBytes / quantized.sizeBefore).toFixed(2);
    cycle.learn('int8', int8 ? `${ratio} of the fp32 size` : 'nothing in it can be quantized');
  }

  enter(cycle, 'gate', 'the verdict');
  const verdict = await heavy.decideGate({ plan, candidate, int8, champion, anchor });
  upsertSearchAttributes([{ key: searchAttributes.verdict, value: verdict.result }]);
  cycle.learn('verdict', `**${verdict.result}** (${verdict.precision}): ${verdict.reasons[0]}`);
  for (const [metric, ours, theirs] of verdict.summary) cycle.learn(metric, `${ours} (champion ${theirs})`);
  return verdict;
}

/** Between 6 and 7: the spec says who decides. */
async function approve(
  cycle: CycleMachine,
  plan: CyclePlan,
  verdict: GateResult,
): Promise<{ approved: boolean; by: string; reason: string; byPerson: boolean }> {
  const result = verdict.result === 'inconclusive' ? 'inconclusive' : 'pass';
  const rule = approvalRule(plan, result, cycle.input.inconclusiveBefore);
  if (rule === 'hold') return { approved: false, by: 'gate', reason: verdict.reasons[0]!, byPerson: false };
  if (rule === 'auto') return { approved: true, by: 'gate', reason: verdict.reasons[0]!, byPerson: false };

  enter(cycle, 'approval', `one of ${rule.by.join(', ')}`);
  const id = `${plan.loop}/${plan.n}`;
  const text = `${id} waits for approval: verdict ${verdict.result}, ${verdict.reasons[0]}`;
  const command = `goto3 cycle approve ${id} --reason "..."\ngoto3 cycle reject ${id} --reason "..."`;
  const word = await ask(
    cycle,
    plan,
    'approvalNeeded',
    { kind: 'approval', by: rule.by, notBy: rule.notBy },
    text,
    command,
    rule.withinMs,
  );
  if (word) return { approved: word.kind === 'approve', by: word.by, reason: word.reason, byPerson: true };
  if (rule.onTimeout === 'reject')
    return { approved: false, by: 'deadline', reason: 'nobody approved it in time', byPerson: false };
  const late = await ask(
    cycle,
    plan,
    'parked',
    { kind: 'approval', by: rule.by, notBy: rule.notBy },
    `${text}; the deadline has passed`,
    command,
    null,
  );
  return { approved: late!.kind === 'approve', by: late!.by, reason: late!.reason, byPerson: true };
}

/** Step 7, through the endpoint's workflow: it decides by evidence and tells the outcome by signal. */
async function rollOut(
  cycle: CycleMachine,
  plan: CyclePlan,
  endpoint: string,
  model: Digest,
  version: number,
  approvedByPerson: boolean,
  known: Partial<ReportDraft>,
): Promise<Ending> {
  enter(cycle, 'rollout', `the canary on ${endpoint}`);
  const { workflowId } = workflowInfo();
  cycle.deploy = { requestId: workflowId, finished: null };
  const answer = await control.requestDeploy({
    endpoint,
    request: {
      requestId: workflowId,
      reason: `version ${version} passed the gate`,
      by: workflowId,
      model,
      modelName: plan.model,
      loop: plan.loop,
      version,
      approvedByPerson,
      plan: plan.rollout!,
      replyTo: workflowId,
    },
  });
  if (answer.state === 'refused') return { outcome: 'approvedNotDeployed', detail: answer.reason };
  if (answer.state === 'done') return { outcome: 'deployed', detail: answer.reason };
  try {
    await condition(() => cycle.deploy!.finished !== null);
  } catch (error) {
    if (isCancellation(error))
      await CancellationScope.nonCancellable(() =>
        control.withdrawDeploy({ endpoint, deploy: workflowId, reason: 'the cycle was cancelled', by: workflowId }),
      );
    throw error;
  }
  const { outcome, reason, deployment } = cycle.deploy.finished!;
  if (deployment) known.deployment = deployment;
  if (outcome === 'rolledBack') {
    await control.notify({
      plan,
      event: 'rolledBack',
      text: `version ${version} was rolled back: ${reason}`,
      command: `goto3 endpoint unfreeze ${endpoint} --reason "..."`,
    });
    return { outcome: 'rolledBack', detail: reason };
  }
  return outcome === 'deployed'
    ? { outcome: 'deployed', detail: `version ${version}: ${reason}` }
    : { outcome: 'approvedNotDeployed', detail: `${outcome}: ${reason}` };
}

/** Waits without a deadline for the one who can repair it. */
async function park(
  cycle: CycleMachine,
  plan: CyclePlan,
  waiting: Waiting,
  problem: string,
  commands: [string, string],
): Promise<PersonsWord> {
  enter(cycle, 'parked', problem);
  return (await ask(cycle, plan, 'parked', waiting, problem, commands.join('\n'), null))!;
}

/** Shows what it waits for, tells whoever is on call, and waits; null when the deadline passed. */
async function ask(
  cycle: CycleMachine,
  plan: CyclePlan,
  event: 'parked' | 'approvalNeeded',
  waiting: Waiting,
  text: string,
  command: string,
  withinMs: number | null,
): Promise<PersonsWord | null> {
  cycle.waitFor(waiting, text, command, withinMs === null ? null : Date.now() + withinMs);
  show(cycle);
  await control.notify({ plan, event, text, command });
  const spoken = (): boolean => cycle.word !== null;
  if (withinMs === null) await condition(spoken);
  else if (!(await condition(spoken, withinMs))) {
    cycle.waiting = null;
    return null;
  }
  const word = cycle.takeWord();
  show(cycle);
  return word;
}

async function close(cycle: CycleMachine, plan: CyclePlan | null, draft: Ending): Promise<CycleResult> {
  enter(cycle, 'done', 'nothing');
  const { loop, n, reason } = cycle.input;
  const { report } = await control.closeCycle({
    plan,
    input: cycle.input,
    draft: { gpuHours: 0, loop, cycle: n, reason, startedAt: new Date(cycle.startedAtMs).toISOString(), ...draft },
  });
  const result: CycleResult = {
    n,
    outcome: draft.outcome,
    detail: draft.detail,
    failed: draft.outcome === 'failed' || draft.outcome === 'rolledBack',
    inconclusive: draft.outcome === 'inconclusive',
    gpuHours: draft.gpuHours ?? 0,
    report,
  };
  cycle.learn('outcome', `**${draft.outcome}**: ${draft.detail}`);
  show(cycle);
  const { report: _report, ...message } = result;
  // The loop may be gone; the report in the store is what counts.
  await getExternalWorkflowHandle(workflowIds.loop(loop))
    .signal(cycleFinishedSignal, message)
    .catch((error) => {
      log.warn('nobody took the report', { loop, n, problem: rootCause(error) });
    });
  await condition(allHandlersFinished);
  return result;
}

function wireMessages(cycle: CycleMachine): void {
  const valid = { validator: (request: unknown) => void decodeUpdate(decodeRequest, request) };
  setHandler(approveUpdate, (request) => cycle.decide('approve', request), {
    ...valid,
    description: 'Let the candidate go to production: {requestId, reason, by}',
  });
  setHandler(rejectUpdate, (request) => cycle.decide('reject', request), {
    ...valid,
    description: 'Keep the champion: {requestId, reason, by}',
  });
  setHandler(acceptDataUpdate, (request) => cycle.acceptData(request), {
    ...valid,
    description: 'Train on the data that was held back: {requestId, reason, by}',
  });
  setHandler(dropDataUpdate, (request) => cycle.dropData(request), {
    validator: (request) => void decodeUpdate(decodeDropData, request),
    description: 'Train without the data that was held back: {requestId, reason, by, slice?}',
  });
  setHandler(retryUpdate, (request) => cycle.retry(request), {
    validator: (request) => void decodeUpdate(decodeRetryCycle, request),
    description: 'Try the failed step again: {requestId, reason, by, resources?}',
  });
  setHandler(deployFinishedSignal, (message) => {
    const finished = acceptSignal(decodeDeployFinished, message, () => {
      cycle.droppedSignals += 1;
    });
    if (finished) cycle.deployFinished(finished);
  });
  setHandler(cycleStatusQuery, () => cycle.status());
}

function enter(cycle: CycleMachine, stage: CycleStage, waitsFor: string): void {
  cycle.enter(stage, waitsFor, Date.now());
  upsertSearchAttributes([{ key: searchAttributes.stage, value: stage }]);
  show(cycle);
}

function show(cycle: CycleMachine): void {
  setCurrentDetails(cycleDetails(cycle.status()));
  showAttention(cycle.attention());
}
