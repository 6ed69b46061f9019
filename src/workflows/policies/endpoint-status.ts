import type { EndpointState, EndpointStatus } from '../../contracts/messages.ts';

/** What an endpoint says of itself to whoever asks. */
export function endpointStatus(endpoint: string, state: EndpointState): EndpointStatus {
  const { generation, current, stable, candidate, shadows, probation, queue, frozen, blocked, adopted } = state;
  return {
    endpoint,
    generation,
    current,
    // The way back from a version that is the stable one itself leads nowhere.
    stable: stable?.model === current?.model ? null : stable,
    candidate: candidate && withoutRequest(candidate),
    shadows,
    probation: probation && {
      model: probation.request.model,
      version: probation.request.version,
      startedAtMs: probation.startedAtMs,
    },
    queued: queue.map(({ requestId, version, loop }) => ({ requestId, version, loop })),
    frozen,
    blocked,
    adopted,
    command: frozen || blocked ? unfreezeCommand(endpoint) : null,
    barred: state.barred,
    last: state.last,
  };
}

export const unfreezeCommand = (endpoint: string): string => `goto3 endpoint unfreeze ${endpoint} --reason "..."`;

/** Kind of act a person owes it, for the search attribute. */
export const endpointAttention = ({ blocked, frozen }: EndpointState): string | null =>
  blocked ? 'parked' : frozen ? 'frozen' : null;

const withoutRequest = ({
  request: _request,
  ...candidate
}: NonNullable<EndpointState['candidate']>): EndpointStatus['candidate'] => candidate;
