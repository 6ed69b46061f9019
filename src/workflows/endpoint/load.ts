import { upsertSearchAttributes } from '@temporalio/workflow';
import type { EndpointState } from '../../contracts/messages.ts';
import { searchAttributes } from '../../contracts/search-attributes.ts';
import type { EndpointMachine } from '../policies/endpoint.ts';
import { control } from '../proxies.ts';
import { operations } from './desired.ts';
import { bar, readChampion } from './record.ts';

/** Begins, or goes on after it had to stop, with what the store says is served. */
export async function load(machine: EndpointMachine): Promise<void> {
  const { endpoint, state } = machine;
  const found = await control.loadEndpoint({ endpoint });
  const ours = operations();
  const { unbarred, adopted } = machine.load(found, (o) => o.startsWith(ours), Date.now());
  upsertSearchAttributes([{ key: searchAttributes.endpoint, value: endpoint }]);
  for (const model of unbarred)
    await bar(machine, model, { requestId: `${endpoint}/${state.generation}`, by: 'goto3', reason: 'rolled back' });
  if (adopted) await recordAdoption(machine, adopted);
}

/** What a hand made of the endpoint is on record like a rollout: who, why, and which version is the champion now. */
async function recordAdoption(
  machine: EndpointMachine,
  { by, reason }: NonNullable<EndpointState['adopted']>,
): Promise<void> {
  const { endpoint, state } = machine;
  const { current } = state;
  if (!current) return;
  await readChampion(machine, current.modelName);
  const isKnown = current.version > 0 && state.champion?.digest !== current.model;
  const recorded = await control.recordDeployment({
    ...{ endpoint, operation: `${endpoint}/adopted/${state.desired!.entry}`, outcome: 'adopted' },
    ...{ model: current.model, modelName: current.modelName, by, reason, steps: [] },
    champion: isKnown ? { expected: state.champion, next: current.model } : null,
  });
  if (recorded.champion) state.champion = recorded.champion;
  state.last = { model: current.model, outcome: 'adopted', reason: `${by}: ${reason}`, atMs: Date.now() };
}
