import { stateLayout } from '../../../stack/layout.ts';
import { type StackStatus, stackStatus } from '../../../stack/status.ts';
import type { Store } from '../../../store/types.ts';
import { type EndpointFacts, endpointFacts, endpointNames } from '../endpoint-facts.ts';
import { type LoopFacts, listLoops } from '../loop-facts.ts';
import type { Session } from '../session.ts';
import { promotionNeeds, type WaitingPromotion, waitingPromotions } from './promotions.ts';
import { type QueueStatus, queueStatuses } from './queues.ts';
import { within } from './within.ts';
import { askWorkflows, type OpenCycle, type OpenEndpoint, type OpenLoop, openWorkflows } from './workflows.ts';

export interface Attention {
  what: string;
  kind: string;
  /** What it waits for, in words. */
  why: string;
  /** The command that unblocks it; null where the thing itself does not answer. */
  command: string | null;
}

export interface StatusPage {
  home: string;
  stack: StackStatus | null;
  temporal: { reachable: boolean; workers: QueueStatus[] };
  loops: LoopFacts[];
  cycles: OpenCycle[];
  endpoints: ({ name: string } & EndpointFacts)[];
  /** Versions from other environments that wait for an approver. */
  promotions: WaitingPromotion[];
  /** What waits for a person. */
  attention: Attention[];
  /** Parts that could not be found out, and what is wrong. */
  problems: string[];
}

/** All parts together stay below ten seconds, whatever is missing. */
const localWithinMs = 4_000;
const serverWithinMs = 9_000;

/**
 * Everything on one page, from whatever answers: processes, store, server, workflows.
 * @param env of the command line
 */
export async function collectStatus(session: Session, env?: string): Promise<StatusPage> {
  const { home } = session.environment;
  const store = session.store();
  const [stack, applied, served, promoted, server] = await Promise.all([
    within(localWithinMs, 'stack', stackStatus(stateLayout(home))),
    within(
      localWithinMs,
      'loops in the store',
      store.then((opened) => listLoops(opened, undefined)),
    ),
    within(localWithinMs, 'endpoints in the store', store.then(endpointsOf)),
    within(
      localWithinMs,
      'promotions in the store',
      store.then((opened) => waitingPromotions(opened)),
    ),
    within(serverWithinMs, 'Temporal', fromServer(session)),
  ]);
  const open = server.value;
  const loops = (applied.value ?? []).map((loop) => withPresent(loop, open?.loops));
  const endpoints = served.value ?? [];
  const promotions = promoted.value ?? [];
  return {
    home,
    stack: stack.value ?? null,
    temporal: { reachable: open !== undefined, workers: open?.workers ?? [] },
    loops,
    cycles: open?.cycles ?? [],
    endpoints,
    promotions,
    attention: [
      ...attention(open?.loops ?? [], open?.cycles ?? [], endpoints, open?.endpoints ?? []),
      ...promotions.map((promotion) => promotionNeeds(promotion, env)),
    ],
    problems: [
      ...[stack.problem, applied.problem, served.problem, promoted.problem, server.problem].filter(
        (p) => p !== undefined,
      ),
      ...(open?.workers ?? []).map(({ problem }) => problem).filter((p) => p !== null),
    ],
  };
}

async function endpointsOf(store: Store): Promise<StatusPage['endpoints']> {
  const names: string[] = [];
  for await (const name of endpointNames(store)) names.push(name);
  const all = await Promise.all(names.map(async (name) => ({ name, facts: await endpointFacts(store, name) })));
  return all.flatMap(({ name, facts }) => (facts ? [{ name, ...facts }] : []));
}

async function fromServer(session: Session) {
  const { temporal } = await session.goto3();
  const [workers, open] = await Promise.all([queueStatuses(temporal), openWorkflows(temporal)]);
  const answering = (workers.find(({ queue }) => queue === 'control')?.workers ?? 0) > 0;
  return { workers, ...(await askWorkflows(temporal, open, answering)) };
}

function withPresent(loop: LoopFacts, open: readonly OpenLoop[] | undefined): LoopFacts {
  if (!open) return loop;
  const workflow = open.find(({ workflowId }) => workflowId === `loop/${loop.name}`);
  if (!workflow) return { ...loop, state: 'not running' };
  const { status } = workflow;
  return status ? { ...loop, state: status.state, waitsFor: status.waitsFor } : { ...loop, state: 'does not answer' };
}

/** Loops and cycles by their own word, endpoints by their desired state: a freeze is told while Temporal is away too. */
export function attention(
  loops: readonly OpenLoop[],
  cycles: readonly OpenCycle[],
  endpoints: StatusPage['endpoints'],
  parkedEndpoints: readonly OpenEndpoint[] = [],
): Attention[] {
  const found: Attention[] = [];
  for (const { workflowId, attention: kind, status } of [...cycles, ...loops])
    if (kind !== null)
      found.push({
        what: workflowId,
        kind,
        why: status?.waitsFor ?? 'it does not answer',
        command: status?.command ?? null,
      });
  // A freeze is in the desired state; what an endpoint's workflow cannot do it says itself.
  for (const { workflowId, attention: kind, status } of parkedEndpoints)
    if (kind === 'parked')
      found.push({
        what: workflowId,
        kind,
        why: status?.blocked?.reason ?? 'it does not answer',
        command: status?.command ?? null,
      });
  for (const { name, desired } of endpoints)
    if (desired.frozen)
      found.push({
        what: `endpoint/${name}`,
        kind: 'frozen',
        why: `by ${desired.frozen.by}: ${desired.frozen.reason}`,
        command: `goto3 endpoint unfreeze ${name} --reason "..."`,
      });
  return found;
}
