import type { Goto3 } from '../../src/client/connect.ts';

/** One connection for all requests. It is made by the first one; a failure is not kept, so the next request tries again. */
export class KeptConnection {
  private readonly connect: () => Promise<Goto3>;
  private connecting: Promise<Goto3> | undefined;

  constructor(connect: () => Promise<Goto3>) {
    this.connect = connect;
  }

  get(): Promise<Goto3> {
    this.connecting ??= this.connect().catch((error: unknown) => {
      this.connecting = undefined;
      throw error;
    });
    return this.connecting;
  }

  async close(): Promise<void> {
    const goto3 = await this.connecting?.catch(() => undefined);
    await goto3?.close();
  }
}
