import { failureTypes } from '../../contracts/failures.ts';
import { hasFailureType } from '../failure-type.ts';
import type { EndpointMachine } from '../policies/endpoint.ts';
import { control } from '../proxies.ts';
import { apply } from './desired.ts';

/** Where the champion ref stands: the fence of the next move. */
export async function readChampion(machine: EndpointMachine, model: string): Promise<void> {
  machine.state.champion = (await control.readChampion({ model })).champion;
}

/**
 * Carries out what is decided about a version: one atomic change of weights before anything else, then what is barred, then
 * the record; last its cycle is told. Each is written once, however often this begins again.
 */
export async function end(machine: EndpointMachine): Promise<void> {
  const { state } = machine;
  const { by, reason, outcome, model, requestId, modelName } = state.ending!;
  if (state.desiredIsStale) await apply(machine, by, reason);
  try {
    if (outcome === 'rolledBack') await bar(machine, model, { requestId, by, reason });
    if (state.ending!.champion && !state.champion) await readChampion(machine, modelName);
    machine.told(await record(machine));
  } catch (error) {
    // Whether it can be recorded is nothing that its cycle has to wait for.
    machine.told(null);
    throw error;
  }
  state.ending = null;
}

async function record(machine: EndpointMachine) {
  const { state, endpoint } = machine;
  const { requestId, champion: next, request: _request, ...what } = state.ending!;
  const operation = `${requestId}/${what.outcome}`;
  const recordOnce = () =>
    control.recordDeployment({
      ...{ ...what, endpoint, operation },
      champion: next && { expected: state.champion, next },
    });
  const recorded = await recordOnce().catch(async (error: unknown) => {
    // Another endpoint of the same model moved the champion meanwhile; whoever served last is it.
    if (!hasFailureType(error, failureTypes.refConflict)) throw error;
    await readChampion(machine, what.modelName);
    return await recordOnce();
  });
  if (recorded.champion) state.champion = recorded.champion;
  state.last = { model: what.model, outcome: what.outcome, reason: what.reason, atMs: Date.now() };
  return recorded.deployment;
}

export async function bar(
  machine: EndpointMachine,
  model: NonNullable<EndpointMachine['state']['current']>['model'],
  { requestId, by, reason }: { requestId: string; by: string; reason: string },
): Promise<void> {
  await control.bar({ endpoint: machine.endpoint, model, by, reason, operation: `${requestId}/bar` });
}
