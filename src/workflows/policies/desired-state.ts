import type { Digest } from '../../contracts/digest.ts';
import type { DesiredState, Variant } from '../../contracts/endpoint.ts';
import type { EndpointState } from '../../contracts/messages.ts';

/** What an endpoint should serve next, one generation up: the roles of its state as weighted variants. */
export function desiredState(endpoint: string, state: EndpointState): DesiredState {
  const { current, candidate, stable, probation, shadows, frozen } = state;
  const variants: Variant[] = [];
  const add = (name: string, model: Digest, weight: number, shadow: boolean): void => {
    if (!variants.some((v) => v.model === model && !v.shadow && !shadow))
      variants.push({ name, model, weight, shadow });
  };
  if (current) add('current', current.model, 100 - (candidate?.weight ?? 0), false);
  if (candidate) add('candidate', candidate.model, candidate.weight, false);
  // Through probation the version before stays warm and answers along for the record: labels then judge both on the
  // same rows, and the way back is one change of weights.
  if (stable && probation) add('stable', stable.model, 0, true);
  for (const { name, model } of shadows) add(name, model, 0, true);
  return { schema: 'goto3/desired/v1', endpoint, generation: state.generation + 1, variants, frozen };
}

/** The model that a state gives the traffic to, or most of it. */
export const serving = ({ variants }: DesiredState): Variant | undefined =>
  variants.find((v) => v.weight === 100) ?? [...variants].sort((a, b) => b.weight - a.weight)[0];
