import { Client, Connection } from '@temporalio/client';
import { readAddresses } from '../stack/addresses.ts';
import { openDataConverter } from '../stack/data-converter.ts';
import { type Environment, readEnvironment } from '../stack/environment.ts';
import { stateLayout } from '../stack/layout.ts';
import { openStore } from '../store/open.ts';
import type { Store } from '../store/types.ts';
import { CycleHandle } from './cycle.ts';
import { EndpointHandle } from './endpoint.ts';
import { NoServer } from './errors.ts';
import { LoopHandle } from './loop.ts';

export interface ConnectOptions {
  environment?: Environment;
  /** Who asks, for the record: a claimed name. Default: `service`. */
  by?: string;
  /** How long to wait for a server that is away; 10 s. */
  connectWithinMs?: number;
}

/** What other services use (DESIGN §7). Names are the same as for the Temporal CLI, so other languages need none of this. */
export interface Goto3 {
  loop(name: string): LoopHandle;
  /** `<loop>/<n>`. */
  cycle(id: string): CycleHandle;
  endpoint(name: string): EndpointHandle;
  /** host:port of the Temporal server. */
  readonly address: string;
  readonly temporal: Client;
  readonly store: Store;
  close(): Promise<void>;
}

/**
 * Connects to Temporal and the store: what `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE` and `GOTO3_STORE` say, else the embedded
 * stack of `GOTO3_HOME` or of the current folder. @throws NoServer, or InvalidInput for a codec key that is not set
 */
export async function connect({
  environment = readEnvironment(),
  by = 'service',
  connectWithinMs = 10_000,
}: ConnectOptions = {}): Promise<Goto3> {
  const address = temporalAddress(environment);
  // No guess: at the usual port there may be a server of somebody else.
  if (address === undefined)
    throw new NoServer(
      `no stack was ever started in ${environment.home}: goto3 up does, GOTO3_HOME names another folder, TEMPORAL_ADDRESS another server`,
    );
  const dataConverter = await openDataConverter(environment);
  const connection = await Connection.connect({
    // Of another server than the embedded one.
    ...(environment.temporalAddress === undefined ? {} : environment.temporalConnection),
    address,
    connectTimeout: connectWithinMs,
  }).catch((error: unknown) => {
    throw new NoServer(`no Temporal server answers at ${address}: start one with goto3 up, or set TEMPORAL_ADDRESS`, {
      cause: error,
    });
  });
  const temporal = new Client({
    connection,
    namespace: environment.temporalNamespace,
    dataConverter,
    // An ended workflow would still answer, with what was true then.
    workflow: { queryRejectCondition: 'NOT_OPEN' },
  });
  const store = await openStore(environment.storeUrl, environment.storeOptions);
  return {
    address,
    temporal,
    store,
    loop: (name) => new LoopHandle(temporal, store, name, by),
    cycle: (id) => CycleHandle.of(temporal, store, id, by),
    endpoint: (name) => new EndpointHandle(temporal, name, by),
    close: () => connection.close(),
  };
}

/** host:port of the server that the environment names, or else the embedded stack of its state folder. */
export const temporalAddress = ({ temporalAddress: given, home }: Environment): string | undefined =>
  given ?? readAddresses(stateLayout(home))?.temporal.address;
