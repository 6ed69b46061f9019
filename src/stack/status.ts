import { readAddresses, type StackAddresses } from './addresses.ts';
import type { StateLayout } from './layout.ts';
import { isAlive } from './process-identity.mjs';
import { type ChildRecord, readTable } from './process-table.ts';
import { probe } from './readiness.ts';
import { stackHolder } from './stack-lock.ts';

export interface ChildStatus {
  readonly name: string;
  /** Absent when it is not running. */
  readonly pid?: number;
  readonly health: 'ok' | 'unhealthy' | 'dead';
  /** Why it is not ok. */
  readonly reason?: string;
  /** ISO. */
  readonly startedAt: string;
  readonly restarts: number;
  readonly ports: readonly number[];
  readonly log: string;
}

export interface StackStatus {
  /** The living `up`; without it nothing is restarted that dies. */
  readonly up?: { readonly pid: number; readonly since: string };
  readonly addresses?: StackAddresses;
  readonly children: readonly ChildStatus[];
}

/** Looks at the stack from any process; asks each living child whether it works, for at most 2 s. */
export async function stackStatus(layout: StateLayout): Promise<StackStatus> {
  const up = stackHolder(layout);
  const addresses = readAddresses(layout);
  return {
    ...(up ? { up: { pid: up.pid, since: up.at } } : {}),
    ...(addresses ? { addresses } : {}),
    children: await Promise.all(readTable(layout.run).map(childStatus)),
  };
}

async function childStatus(record: ChildRecord): Promise<ChildStatus> {
  const { name, startedAt, restarts, ports, log } = record;
  const common = { name, startedAt, restarts, ports, log };
  if (record.process === null || !isAlive(record.process))
    return { ...common, health: 'dead', reason: 'the process has ended' };
  const { pid } = record.process;
  return probe(record.readiness).then(
    () => ({ ...common, pid, health: 'ok' }),
    (error: Error) => ({ ...common, pid, health: 'unhealthy', reason: error.message }),
  );
}
