import { type Replica, replicasOf } from '../../activities/endpoint/replicas.ts';
import { DesiredState } from '../../contracts/endpoint.ts';
import { isName, refNames } from '../../contracts/names.ts';
import { getJson } from '../../store/manifests.ts';
import type { Store } from '../../store/types.ts';

export interface EndpointFacts {
  desired: DesiredState;
  /** Who moved it there last, and when. */
  by: string;
  reason: string;
  time: string;
  replicas: Replica[];
}

/** What an endpoint should serve and what its replicas say, by the store alone; undefined when it never served. */
export async function endpointFacts(store: Store, endpoint: string): Promise<EndpointFacts | undefined> {
  const ref = await store.refs.read(refNames.desired(endpoint));
  if (!ref) return undefined;
  const { digest, by, reason, time } = ref;
  const desired = await getJson(store, DesiredState, digest);
  return { desired, by, reason, time, replicas: await replicasOf(store, endpoint) };
}

/** Every endpoint that ever served. */
export async function* endpointNames(store: Store): AsyncIterable<string> {
  for await (const name of store.refs.list('endpoints/')) {
    const [, endpoint, what] = name.split('/');
    if (isName(endpoint) && what === 'desired') yield endpoint;
  }
}
