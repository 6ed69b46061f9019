import { workflowInfo } from '@temporalio/workflow';
import { failureTypes } from '../../contracts/failures.ts';
import { hasFailureType } from '../failure-type.ts';
import { desiredState } from '../policies/desired-state.ts';
import type { EndpointMachine } from '../policies/endpoint.ts';
import { control } from '../proxies.ts';

/** The ref moved without us: an operator broke the glass. */
export class GlassBroken extends Error {}

/** Operations of this workflow on the desired ref begin so. */
export const operations = (): string => `${workflowInfo().workflowId}/generation/`;

/** Writes the desired state one generation up; losing the race means that somebody broke the glass. */
export async function apply(machine: EndpointMachine, by: string, reason: string): Promise<void> {
  const { state, endpoint } = machine;
  const desired = desiredState(endpoint, state);
  state.desiredIsStale = false;
  const operation = `${operations()}${desired.generation}`;
  try {
    state.desired = await control.setDesired({
      ...{ endpoint, expected: state.desired, state: desired },
      ...{ operation, by, reason },
    });
    state.generation = desired.generation;
  } catch (error) {
    throw hasFailureType(error, failureTypes.refConflict) ? new GlassBroken() : error;
  }
}
