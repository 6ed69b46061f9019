import { Client, Connection } from '@temporalio/client';
import { readAddresses } from '../stack/addresses.ts';
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
}

/** What other services use (DESIGN §7). Names are the same as for the Temporal CLI, so other languages need none of this. */
export interface Goto3 {
  loop(name: string): LoopHandle;
  /** `<loop>/<n>`. */
  cycle(id: string): CycleHandle;
  endpoint(name: string): EndpointHandle;
  readonly temporal: Client;
  readonly store: Store;
  close(): Promise<void>;
}

const connectWithinMs = 10_000;

/**
 * Connects to Temporal and the store: what `GOTO3_HOME`, `TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE` and `GOTO3_STORE` say, else
 * the embedded stack of the current folder. @throws NoServer
 */
export async function connect({
  environment = readEnvironment(),
  by = 'service',
}: ConnectOptions = {}): Promise<Goto3> {
  const addresses = readAddresses(stateLayout(environment.home));
  const address = environment.temporalAddress ?? addresses?.temporal.address ?? '127.0.0.1:7233';
  const connection = await Connection.connect({ address, connectTimeout: connectWithinMs }).catch((error: unknown) => {
    throw new NoServer(`no Temporal server answers at ${address}: start one with goto3 up, or set TEMPORAL_ADDRESS`, {
      cause: error,
    });
  });
  const temporal = new Client({ connection, namespace: environment.temporalNamespace });
  const store = await openStore(environment.storeUrl);
  return {
    temporal,
    store,
    loop: (name) => new LoopHandle(temporal, store, name, by),
    cycle: (id) => CycleHandle.of(temporal, store, id, by),
    endpoint: (name) => new EndpointHandle(temporal, store, name, by),
    close: () => connection.close(),
  };
}
