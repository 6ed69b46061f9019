import { z } from 'zod';
import { ReplicaRegistration } from '../../contracts/endpoint.ts';
import { getJson } from '../../store/manifests.ts';
import type { Store } from '../../store/types.ts';

/** What we read of a replica's answer; it may say more. */
const Status = z.object({
  generation: z.number(),
  error: z.object({ generation: z.number(), message: z.string(), mayPass: z.boolean().default(false) }).optional(),
});
type Status = z.infer<typeof Status>;

export interface Replica {
  replica: string;
  url: string;
  /** Undefined: it does not answer. */
  generation: number | undefined;
  error: Status['error'];
}

const answerWithinMs = 2_000;

/** Replicas that registered and did not leave, with what each says that it serves. */
export async function replicasOf(store: Store, endpoint: string): Promise<Replica[]> {
  const asked: Promise<Replica>[] = [];
  for await (const name of store.refs.list(`endpoints/${endpoint}/replicas/`)) {
    const ref = await store.refs.read(name);
    if (!ref) continue;
    const { replica, url, stoppedAt } = await getJson(store, ReplicaRegistration, ref.digest);
    if (stoppedAt === undefined) asked.push(ask(url).then((answer) => ({ replica, url, ...answer })));
  }
  return await Promise.all(asked);
}

async function ask(url: string): Promise<Pick<Replica, 'generation' | 'error'>> {
  try {
    const response = await fetch(`${url}/goto3/status`, {
      signal: AbortSignal.timeout(answerWithinMs),
      redirect: 'error',
    });
    const { generation, error } = Status.parse(await response.json());
    return { generation, error };
  } catch {
    return { generation: undefined, error: undefined };
  }
}

/**
 * Whether a generation is really served; `failed`: it never will be. A replica that does not answer takes no traffic either, so it holds nothing up
 * as long as another one serves.
 */
export function generationServed(
  replicas: readonly Replica[],
  generation: number,
): { serving: boolean; failed: boolean; detail: string } {
  const answering = replicas.filter((r) => r.generation !== undefined);
  if (answering.length === 0) {
    const refs = replicas.length === 0 ? 'no replica is registered' : `none of ${replicas.length} replicas answers`;
    return { serving: false, failed: false, detail: refs };
  }
  const behind = answering.filter((r) => r.generation !== generation);
  const failing = behind.filter((r) => r.error?.generation === generation);
  // What may pass the replica tries again by itself; the step waits for it, as long as it may take.
  const broken = failing.find((r) => !r.error!.mayPass) ?? failing[0];
  if (broken) return { serving: false, failed: !broken.error!.mayPass, detail: says(broken) };
  if (behind.length > 0)
    return {
      serving: false,
      failed: false,
      detail: `${behind.map((r) => r.replica).join(', ')} serve another generation`,
    };
  return {
    serving: true,
    failed: false,
    detail: `${answering.length} of ${replicas.length} replicas serve generation ${generation}`,
  };
}

const says = ({ replica, error }: Replica): string => `${replica}: ${error!.message}`;
