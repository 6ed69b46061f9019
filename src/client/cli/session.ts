import { randomUUID } from 'node:crypto';
import type { Environment } from '../../stack/environment.ts';
import type { KeptStore } from '../../store/upkeep.ts';
import type { Goto3 } from '../connect.ts';
import { identity } from './identity.ts';
import type { Output } from './output.ts';

/** A person waits: a server that is restarting gets this long, no more. */
const connectWithinMs = 3_000;

/** What one run of a command works with. Heavy parts are loaded when a command asks for them. */
export class Session {
  readonly environment: Environment;
  readonly output: Output;
  readonly by: string;
  /** Asking again with it is asking once. */
  readonly requestId: string;
  #goto3: Promise<Goto3> | undefined;

  constructor(environment: Environment, output: Output, { by, requestId }: { by?: string; requestId?: string }) {
    this.environment = environment;
    this.output = output;
    this.by = identity(by);
    this.requestId = requestId ?? randomUUID();
  }

  /** The store alone: works while Temporal is away. */
  async store(): Promise<KeptStore> {
    const { openStore } = await import('../../store/open.ts');
    return await openStore(this.environment.storeUrl, this.environment.storeOptions);
  }

  /** @throws NoServer */
  async goto3(): Promise<Goto3> {
    const { connect } = await import('../connect.ts');
    this.#goto3 ??= connect({ environment: this.environment, by: this.by, connectWithinMs });
    return await this.#goto3;
  }

  /** The name of this request and why it is made. */
  word(reason: string): { requestId: string; reason: string } {
    return { requestId: this.requestId, reason };
  }

  async close(): Promise<void> {
    const goto3 = await this.#goto3?.catch(() => undefined);
    await goto3?.close();
  }
}
