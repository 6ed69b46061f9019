import { condition, sleep } from '@temporalio/workflow';
import type { CanaryResult } from '../../contracts/activities.ts';
import type { Deployment } from '../../contracts/manifests.ts';
import type { DeployRequest } from '../../contracts/messages.ts';
import type { EndpointMachine } from '../policies/endpoint.ts';
import { control, observe } from '../proxies.ts';
import { apply, GlassBroken } from './desired.ts';
import { readChampion } from './record.ts';
import { glassBreaks, whileWatching } from './watch.ts';

/** An activity asks the replicas for so long at a time. */
const lookForMs = 30_000;
/** The observation ends by itself when its time is over; one that cannot even look has this much more. */
const graceMs = 60_000;

/** Step 7 of the procedure. Every step ends by evidence; on the way any message may stop it. */
export async function rollOut(machine: EndpointMachine, request: DeployRequest, show: () => void): Promise<void> {
  const { state } = machine;
  const steps: Deployment['steps'] = [];
  machine.abort = null;
  await readChampion(machine, request.modelName);
  // Until here it waited like the others: withdrawn, superseded or frozen away meanwhile, it is none of ours.
  if (!state.queue.includes(request)) return;
  state.queue = state.queue.filter((waiting) => waiting !== request);
  const { model, modelName, version, plan, by } = request;
  const candidate = { model, modelName, version, sinceMs: Date.now(), request };

  for (const weight of state.current ? plan.canary : []) {
    state.candidate = { ...candidate, weight };
    await apply(machine, by, `canary ${weight} %`);
    show();
    const result = await observeStep(machine, request, weight);
    if (machine.abort) return machine.takeBack(machine.abort, steps, Date.now());
    if (!result) continue;
    steps.push(result.step);
    if (result.decision === 'external') throw new GlassBroken();
    if (result.decision === 'rollback' || (result.decision === 'timeout' && plan.onTimeout === 'rollback'))
      return machine.takeBack({ outcome: 'rolledBack', reason: result.reason, by: 'canary' }, steps, Date.now());
  }

  const held = plan.canary.length > 0 ? 'the canary held at every step' : 'the spec asks for no canary';
  const reason = state.current ? held : 'the first version of this endpoint';
  state.candidate = { ...candidate, weight: 100 };
  await apply(machine, by, reason);
  show();
  // The candidate has all traffic: it counts only once every replica really serves it.
  const notServed = await served(machine, plan.atMostMs);
  if (machine.abort) return machine.takeBack(machine.abort, steps, Date.now());
  if (notServed) return machine.takeBack({ ...notServed, by: 'goto3' }, steps, Date.now());
  // Names change with the promotion (current, stable), answers do not.
  machine.promote(reason, steps, Date.now());
}

/** Null: a message stopped the observation. */
async function observeStep(
  machine: EndpointMachine,
  { model: candidate, version, plan }: DeployRequest,
  weight: number,
): Promise<CanaryResult | null> {
  const { endpoint, state } = machine;
  const sinceMs = Date.now();
  const result = await whileWatching(async () => {
    const stopped = condition(() => machine.abort !== null).then(() => null);
    const late = sleep(plan.atMostMs + graceMs, { summary: 'the observation should have ended' }).then(() =>
      unobserved(weight, sinceMs, 'nobody could look at the evidence'),
    );
    const observed = observe.observeCanary.executeWithOptions({ summary: `version ${version} at ${weight} %` }, [
      {
        ...{ endpoint, generation: state.generation, expected: state.desired! },
        ...{ candidate, current: state.current!.model, weight, plan, sinceMs },
      },
    ]);
    const first = await Promise.race([stopped, observed, late]);
    return async () => first;
  });
  return result ?? null;
}

function unobserved(weight: number, sinceMs: number, reason: string): CanaryResult {
  const [startedAt, endedAt] = [new Date(sinceMs), new Date()].map((at) => at.toISOString()) as [string, string];
  const none = { candidateRequests: 0, stableRequests: 0, backgroundShare: 0, candidateErrors: 0, stableErrors: 0 };
  const step = { weight, startedAt, endedAt, ...none, decision: `timeout: ${reason}` };
  return { decision: 'timeout', reason, step };
}

/**
 * Waits until every replica serves what is desired; null when they do, or when a message stopped the wait. A model that
 * cannot be loaded is rolled back; one that nobody could load in time has done nothing wrong.
 */
async function served(
  machine: EndpointMachine,
  withinMs: number,
): Promise<{ outcome: 'rolledBack' | 'withdrawn'; reason: string } | null> {
  const { endpoint, state } = machine;
  const { generation } = state;
  const deadlineMs = Date.now() + Math.max(withinMs, lookForMs);
  while (Date.now() < deadlineMs) {
    const look = await whileWatching(async () => {
      const stopped = condition(() => machine.abort !== null).then(() => null);
      const looked = control.awaitGeneration({ endpoint, generation, withinMs: lookForMs });
      const first = await Promise.race([stopped, looked, glassBreaks(machine)]);
      return async () => first;
    });
    if (!look || look.serving) return null;
    if (look.failed) return { outcome: 'rolledBack', reason: `not served: ${look.detail}` };
    if (Date.now() >= deadlineMs) return { outcome: 'withdrawn', reason: `not served in time: ${look.detail}` };
  }
  return { outcome: 'withdrawn', reason: 'not served in time' };
}
