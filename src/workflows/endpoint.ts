import { ActivityFailure, ApplicationFailure } from '@temporalio/common';
import {
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  getExternalWorkflowHandle,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { CanaryResult } from '../contracts/activities.ts';
import { failureTypes } from '../contracts/failures.ts';
import type { Deployment } from '../contracts/manifests.ts';
import type { DeployRequest, EndpointInput } from '../contracts/messages.ts';
import { searchAttributes } from '../contracts/search-attributes.ts';
import { showAttention } from './attention.ts';
import { decodeUpdate } from './decode.ts';
import {
  decodeDeploy,
  decodeRequest,
  decodeShadow,
  decodeWithdraw,
  deployFinishedSignal,
  deployUpdate,
  endpointStatusQuery,
  freezeUpdate,
  rollbackUpdate,
  shadowUpdate,
  unfreezeUpdate,
  withdrawUpdate,
} from './messages.ts';
import { endpointDetails } from './policies/details.ts';
import { EndpointMachine, initialEndpointState } from './policies/endpoint.ts';
import { control, observe } from './proxies.ts';

/** Loading a model and switching to it may take this long on a busy replica. */
const settleMs = 120_000;

/** The ref moved without us: an operator broke the glass. */
class GlassBroken extends Error {}

/**
 * In normal life the single writer of what an endpoint serves: one rollout at a time, by evidence, with a way back
 * (DESIGN §5). Lives for ever; everything that it decides is the machine's (policies/endpoint).
 */
export async function endpoint(input: EndpointInput): Promise<void> {
  const machine = new EndpointMachine(input.endpoint, input.state ?? initialEndpointState());
  const { state } = machine;
  wireMessages(machine);
  if (!input.state) await loadFromStore(machine);

  while (true) {
    show(machine);
    try {
      if (state.outbox.length > 0) await tellCycles(machine);
      else if (state.rollbackAsked) await rollBackCurrent(machine, state.rollbackAsked);
      else if (machine.desiredIsStale) await apply(machine, 'goto3', 'shadows or freeze changed');
      else if (state.queue.length > 0 && !state.frozen) await rollOut(machine, state.queue[0]!);
      else await idle(machine);
    } catch (error) {
      if (!(error instanceof GlassBroken)) throw error;
      await adoptWhatIsDesired(machine);
    }
    if (workflowInfo().continueAsNewSuggested && !state.candidate) {
      await condition(allHandlersFinished);
      await continueAsNew<typeof endpoint>({ endpoint: input.endpoint, state });
    }
  }
}

async function loadFromStore(machine: EndpointMachine): Promise<void> {
  const { state } = machine;
  const { desired, state: served, barred, known } = await control.loadEndpoint({ endpoint: machine.endpoint });
  upsertSearchAttributes([{ key: searchAttributes.endpoint, value: machine.endpoint }]);
  state.barred = barred;
  if (!desired || !served) return;
  // A new life of this workflow (its history was lost) goes on from what is served, without a freeze.
  const frozenBefore = served.frozen;
  machine.adopt(desired, served, known, 'goto3', 'taken over from the store', Date.now(), new Date().toISOString());
  machine.setFrozen(frozenBefore);
  machine.desiredIsStale = false;
}

/** Waits for a message, for the end of probation, or for somebody who moves the ref by hand. */
async function idle(machine: EndpointMachine): Promise<void> {
  const { state } = machine;
  await whileWatching(async () => {
    const message = condition(() => machine.hasWork() || workflowInfo().continueAsNewSuggested).then(() => undefined);
    const events: Promise<(() => Promise<void>) | undefined>[] = [message];
    if (state.desired) {
      events.push(
        observe.watchDesired
          .executeWithOptions({ summary: 'has anybody moved the desired state by hand?' }, [
            { endpoint: machine.endpoint, expected: state.desired },
          ])
          .then(() => {
            throw new GlassBroken();
          }),
      );
    }
    if (state.probation) events.push(watchProbation(machine));
    return await Promise.race(events);
  });
}

async function watchProbation(machine: EndpointMachine): Promise<() => Promise<void>> {
  const { request, startedAtMs } = machine.state.probation!;
  const { forMs, accuracyLoss } = request.plan.probation!;
  const { outcome, reason } = await observe.observeProbation.executeWithOptions(
    { summary: `probation of version ${request.version}` },
    [
      {
        endpoint: machine.endpoint,
        loop: request.loop,
        model: request.model,
        forMs,
        accuracyLoss,
        sinceMs: startedAtMs,
      },
    ],
  );
  return async () => {
    if (outcome === 'passed') machine.passProbation();
    else await rollBackCurrent(machine, { requestId: `${request.requestId}/probation`, by: 'probation', reason });
  };
}

/** Step 7 of the procedure. Every step ends by evidence; on the way any message may stop it. */
async function rollOut(machine: EndpointMachine, request: DeployRequest): Promise<void> {
  const { state } = machine;
  const steps: Deployment['steps'] = [];
  machine.abort = null;
  state.champion = (await control.readChampion({ model: request.modelName })).champion;
  // Until here it waited like the others: withdrawn, superseded or frozen away meanwhile, it is none of ours.
  if (!state.queue.includes(request)) return;
  state.queue = state.queue.filter((waiting) => waiting !== request);
  const { model, modelName, version, plan } = request;
  const candidate = { model, modelName, version, sinceMs: Date.now(), request };

  if (!state.current) {
    state.candidate = { ...candidate, weight: 100 };
    await apply(machine, request.by, request.reason);
    return await settle(machine, request, steps, 'the first version of this endpoint');
  }

  for (const weight of plan.canary) {
    state.candidate = { ...candidate, weight };
    await apply(machine, request.by, `canary ${weight} %`);
    show(machine);
    const result = await observeStep(machine, request, weight);
    if (machine.abort) return await takeBack(machine, request, steps, machine.abort);
    if (!result) continue;
    steps.push(result.step);
    if (result.decision === 'external') throw new GlassBroken();
    if (result.decision === 'rollback' || (result.decision === 'timeout' && plan.onTimeout === 'rollback'))
      return await takeBack(machine, request, steps, { outcome: 'rolledBack', reason: result.reason, by: 'canary' });
  }
  state.candidate = { ...candidate, weight: 100 };
  await apply(machine, request.by, 'the canary held at every step');
  await settle(machine, request, steps, 'the canary held at every step');
}

/** Null: a message stopped the observation. */
async function observeStep(
  machine: EndpointMachine,
  request: DeployRequest,
  weight: number,
): Promise<CanaryResult | null> {
  const { state } = machine;
  return await whileWatching(async () => {
    const stopped = condition(() => machine.abort !== null).then(() => null);
    const observed = observe.observeCanary.executeWithOptions(
      { summary: `version ${request.version} at ${weight} %` },
      [
        {
          endpoint: machine.endpoint,
          generation: state.generation,
          expected: state.desired!,
          candidate: request.model,
          current: state.current!.model,
          weight,
          plan: request.plan,
          sinceMs: Date.now(),
        },
      ],
    );
    const result = await Promise.race([stopped, observed]);
    return async () => result;
  }).then((result) => result ?? null);
}

/** The candidate has all traffic: it counts only once every replica really serves it. */
async function settle(
  machine: EndpointMachine,
  request: DeployRequest,
  steps: Deployment['steps'],
  reason: string,
): Promise<void> {
  const { state } = machine;
  const { serving, detail } = await control.awaitGeneration({
    endpoint: machine.endpoint,
    generation: state.generation,
    withinMs: settleMs / 4,
  });
  if (!serving)
    return await takeBack(machine, request, steps, {
      outcome: 'rolledBack',
      reason: `not served: ${detail}`,
      by: 'goto3',
    });
  machine.promote(Date.now());
  // Names change with the promotion (current, stable), answers do not.
  await apply(machine, request.by, reason);
  await record(machine, request, 'deployed', reason, steps, request.model);
}

/** One atomic change of weights; what stays is what served before. */
async function takeBack(
  machine: EndpointMachine,
  request: DeployRequest,
  steps: Deployment['steps'],
  abort: { outcome: 'withdrawn' | 'rolledBack'; reason: string; by: string },
): Promise<void> {
  machine.abort = null;
  machine.state.candidate = null;
  if (abort.outcome === 'rolledBack')
    await barAndFreeze(machine, request.model, request.requestId, abort.by, abort.reason);
  await apply(machine, abort.by, abort.reason);
  await record(machine, request, abort.outcome, abort.reason, steps, null);
}

/** An operator's rollback, or probation's: the serving version loses its place to `stable`. */
async function rollBackCurrent(
  machine: EndpointMachine,
  asked: { requestId: string; by: string; reason: string },
): Promise<void> {
  const { state } = machine;
  state.rollbackAsked = null;
  const request = state.probation?.request ?? null;
  const loser = machine.rollBackToStable(Date.now());
  if (loser) await barAndFreeze(machine, loser.model, asked.requestId, asked.by, asked.reason);
  await apply(machine, asked.by, asked.reason);
  if (!loser || !state.current) return;
  const about: DeployRequest = request ?? {
    requestId: asked.requestId,
    reason: asked.reason,
    by: asked.by,
    ...loser,
    loop: loser.modelName,
    approvedByPerson: false,
    plan: {
      canary: [],
      atLeastRequests: 1,
      atMostMs: 1,
      onTimeout: 'rollback',
      errorRateMargin: 0,
      latencyP99Relative: 0,
      probation: null,
    },
    replyTo: null,
  };
  state.champion = (await control.readChampion({ model: loser.modelName })).champion;
  // The rollout's own cycle ended when it reached 100 %: nobody waits for this outcome.
  await record(machine, { ...about, replyTo: null }, 'rolledBack', asked.reason, [], state.current.model);
}

async function barAndFreeze(
  machine: EndpointMachine,
  model: DeployRequest['model'],
  operation: string,
  by: string,
  reason: string,
): Promise<void> {
  if (!machine.state.barred.includes(model)) machine.state.barred.push(model);
  machine.setFrozen({ by, reason, at: new Date().toISOString() });
  await control.bar({ endpoint: machine.endpoint, model, by, reason, operation: `${operation}/bar` });
}

async function record(
  machine: EndpointMachine,
  request: DeployRequest,
  outcome: Deployment['outcome'],
  reason: string,
  steps: Deployment['steps'],
  next: DeployRequest['model'] | null,
): Promise<void> {
  const { state } = machine;
  const recordOnce = () =>
    control.recordDeployment({
      endpoint: machine.endpoint,
      request,
      outcome,
      reason,
      steps,
      champion: next && { expected: state.champion, next },
    });
  const recorded = await recordOnce().catch(async (error: unknown) => {
    // Another endpoint of the same model moved the champion meanwhile; whoever served last is it.
    if (!isRefConflict(error)) throw error;
    state.champion = (await control.readChampion({ model: request.modelName })).champion;
    return await recordOnce();
  });
  if (recorded.champion) state.champion = recorded.champion;
  state.last = { model: request.model, outcome, reason, atMs: Date.now() };
  machine.finish(request, { outcome, reason, deployment: recorded.deployment });
}

/** Writes the desired state one generation up; losing the race means that somebody broke the glass. */
async function apply(machine: EndpointMachine, by: string, reason: string): Promise<void> {
  const { state } = machine;
  const desired = machine.desiredState();
  machine.desiredIsStale = false;
  try {
    state.desired = await control.setDesired({
      endpoint: machine.endpoint,
      expected: state.desired,
      state: desired,
      operation: `${workflowInfo().workflowId}/generation/${desired.generation}`,
      by,
      reason,
    });
    state.generation = desired.generation;
  } catch (error) {
    throw isRefConflict(error) ? new GlassBroken() : error;
  }
}

const isRefConflict = (error: unknown): boolean =>
  error instanceof ActivityFailure &&
  error.cause instanceof ApplicationFailure &&
  error.cause.type === failureTypes.refConflict;

async function adoptWhatIsDesired(machine: EndpointMachine): Promise<void> {
  const { state } = machine;
  const { desired, state: served, known } = await control.loadEndpoint({ endpoint: machine.endpoint });
  const interrupted = state.candidate?.request;
  machine.abort = null;
  if (desired && served)
    machine.adopt(desired, served, known, 'an operator', 'seen by the endpoint', Date.now(), new Date().toISOString());
  if (interrupted) await record(machine, interrupted, 'withdrawn', 'the desired state was changed by hand', [], null);
}

async function tellCycles(machine: EndpointMachine): Promise<void> {
  const { replyTo, message } = machine.state.outbox.shift()!;
  // A cycle that is gone needs no answer.
  await getExternalWorkflowHandle(replyTo)
    .signal(deployFinishedSignal, message)
    .catch(() => undefined);
}

/** Runs a race of events, cancels the losers, then carries out what the winner asks. */
async function whileWatching<T>(race: () => Promise<(() => Promise<T>) | undefined>): Promise<T | undefined> {
  const scope = new CancellationScope({ cancellable: true });
  const then = await scope.run(async () => {
    try {
      return await race();
    } finally {
      scope.cancel();
    }
  });
  return await then?.();
}

function wireMessages(machine: EndpointMachine): void {
  const valid = { validator: (request: unknown) => void decodeUpdate(decodeRequest, request) };
  setHandler(deployUpdate, (request) => machine.deploy(request), {
    validator: (request) => void decodeUpdate(decodeDeploy, request),
    description: 'Roll a version out; cycles send it',
  });
  setHandler(withdrawUpdate, (request) => machine.withdraw(request), {
    validator: (request) => void decodeUpdate(decodeWithdraw, request),
    description: 'Take a rollout back without barring its model: {requestId, reason, by, deploy}',
  });
  setHandler(rollbackUpdate, (request) => machine.rollback(request), {
    ...valid,
    description: 'Back to the stable version, and freeze: {requestId, reason, by}',
  });
  setHandler(freezeUpdate, (request) => machine.freeze(request, new Date().toISOString()), {
    ...valid,
    description: 'Roll nothing out: {requestId, reason, by}',
  });
  setHandler(unfreezeUpdate, (request) => machine.unfreeze(request), {
    ...valid,
    description: 'Allow rollouts again: {requestId, reason, by}',
  });
  setHandler(shadowUpdate, (request) => machine.shadow(request), {
    validator: (request) => void decodeUpdate(decodeShadow, request),
    description: 'Let a version answer for the record only: {requestId, reason, by, name, model}',
  });
  setHandler(endpointStatusQuery, () => machine.status());
}

function show(machine: EndpointMachine): void {
  setCurrentDetails(endpointDetails(machine.status()));
  showAttention(machine.state.frozen ? 'frozen' : null);
}
