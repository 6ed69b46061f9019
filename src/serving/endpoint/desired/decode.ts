import { z } from 'zod';
import { DesiredState } from '../../../contracts/endpoint.ts';
import { isName } from '../../../contracts/names.ts';

/** A desired state that no retry makes servable: somebody has to write another one. */
export class UnusableDesiredState extends Error {
  override readonly name = 'UnusableDesiredState';
  /** 0 when even that cannot be read. */
  readonly generation: number;

  constructor(generation: number, message: string) {
    super(message);
    this.generation = generation;
  }
}

/** Bytes of the desired blob → a state that this endpoint can try to serve. @throws UnusableDesiredState */
export function decodeDesiredState(bytes: Uint8Array, endpoint: string): DesiredState {
  let json: unknown;
  try {
    json = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    throw new UnusableDesiredState(0, 'the desired state is not JSON');
  }
  const parsed = DesiredState.safeParse(json);
  if (!parsed.success) {
    const { generation } = Object(json) as { generation?: unknown };
    throw new UnusableDesiredState(
      typeof generation === 'number' && Number.isSafeInteger(generation) ? generation : 0,
      `the desired state does not fit its schema: ${z.prettifyError(parsed.error)}`,
    );
  }
  const state = parsed.data;
  const problem = stateProblem(state, endpoint);
  if (problem) throw new UnusableDesiredState(state.generation, problem);
  return state;
}

function stateProblem(state: DesiredState, endpoint: string): string | undefined {
  if (state.endpoint !== endpoint)
    return `the desired state is for endpoint "${state.endpoint}", this is "${endpoint}"`;
  const names = state.variants.map(({ name }) => name);
  // Variant names become header values and metric labels.
  const bad = names.find((name) => !isName(name));
  if (bad !== undefined)
    return `variant ${JSON.stringify(bad)}: expected a name of small letters, digits, ".", "_" and "-"`;
  if (new Set(names).size !== names.length) return `variant names are not distinct: ${names.join(', ')}`;
  const shares = state.variants.filter(({ shadow }) => !shadow);
  if (shares.length > 0 && shares.every(({ weight }) => weight === 0))
    return 'no variant has weight, nobody would answer';
  return undefined;
}
