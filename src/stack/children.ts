import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TaskQueue } from '../contracts/names.ts';
import type { StackAddresses } from './addresses.ts';
import type { ChildSpec } from './child-spec.ts';
import type { StateLayout } from './layout.ts';
import { temporalChild } from './temporal-server.ts';
import { tsxArgv } from './tsx.ts';

/** Running activities save and leave; a fine-tune is a job in a session of its own and goes on anyway. */
const workerGraceMs: Readonly<Record<TaskQueue, number>> = { control: 10_000, cpu: 15_000, gpu: 30_000, hpc: 10_000 };
const endpointGraceMs = 10_000;

export const workerChild = (queue: TaskQueue): string => `worker-${queue}`;
export const endpointChild = (endpoint: string): string => `endpoint-${endpoint}`;
export const healthPort = (child: string): string => `${child}.health`;

export interface ChildContext {
  readonly layout: StateLayout;
  readonly addresses: StackAddresses;
  /** Whether the Temporal server is one of the children. */
  readonly embedded: boolean;
  /** `codeDigest` of what the children run. */
  readonly code: string;
}

const environmentOf = ({ layout, addresses }: ChildContext): Record<string, string> => ({
  GOTO3_HOME: layout.home,
  GOTO3_STORE: addresses.storeUrl,
  TEMPORAL_ADDRESS: addresses.temporal.address,
  TEMPORAL_NAMESPACE: addresses.temporal.namespace,
});

export function workerSpec(queue: TaskQueue, context: ChildContext): ChildSpec {
  const name = workerChild(queue);
  const port = context.addresses.ports[healthPort(name)]!;
  return {
    name,
    argv: tsxArgv(new URL('../workers/main.ts', import.meta.url), '--queue', queue, '--health-port', String(port)),
    env: environmentOf(context),
    cwd: context.layout.home,
    readiness: { kind: 'http', url: `http://127.0.0.1:${port}/healthz` },
    stopSignal: 'SIGTERM',
    graceMs: workerGraceMs[queue],
    after: context.embedded ? [temporalChild] : [],
    stopWave: 2,
    code: context.code,
    ports: [port],
  };
}

/** Needs the store alone, so it starts at once and serves while Temporal is away. */
export function endpointSpec(endpoint: string, context: ChildContext): ChildSpec {
  const name = endpointChild(endpoint);
  const { ports } = context.addresses;
  const [port, health] = [ports[name]!, ports[healthPort(name)]!];
  return {
    name,
    argv: tsxArgv(
      new URL('../workers/endpoint.ts', import.meta.url),
      ...['--endpoint', endpoint, '--port', String(port), '--health-port', String(health)],
    ),
    env: environmentOf(context),
    cwd: context.layout.home,
    readiness: { kind: 'http', url: `http://127.0.0.1:${health}/healthz` },
    stopSignal: 'SIGTERM',
    graceMs: endpointGraceMs,
    after: [],
    stopWave: 1,
    code: context.code,
    ports: [port, health],
  };
}

const sourceFolder = fileURLToPath(new URL('../', import.meta.url));
const lockFile = fileURLToPath(new URL('../../package-lock.json', import.meta.url));

/** A hash of our source and of the versions of all packages: children that run other code are replaced by the next `up`. */
export function codeDigest(folder: string = sourceFolder, lock: string = lockFile): string {
  const hash = createHash('sha256').update(process.version).update(readFileSync(lock));
  for (const file of (readdirSync(folder, { recursive: true }) as string[]).sort())
    if (/\.(ts|mjs|cjs|js|json)$/.test(file)) hash.update(`\0${file}\0`).update(readFileSync(join(folder, file)));
  return hash.digest('hex');
}
