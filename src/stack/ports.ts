import { createServer, type Server } from 'node:net';

function listen(port: number): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(undefined));
    server.listen({ host: '127.0.0.1', port, exclusive: true }, () => resolve(server));
  });
}

const close = (server: Server): Promise<void> => new Promise((resolve) => server.close(() => resolve()));

export async function isFree(port: number): Promise<boolean> {
  const server = await listen(port);
  if (server) await close(server);
  return server !== undefined;
}

/**
 * One free TCP port on 127.0.0.1 for each entry, all different: the preferred one where nobody listens on it, else any
 * (undefined: any). Another process may take one before it is used; the supervisor then sees a child that dies.
 */
export async function freePorts(preferred: readonly (number | undefined)[]): Promise<number[]> {
  const held: Server[] = [];
  try {
    for (const port of preferred) {
      const server = (port === undefined ? undefined : await listen(port)) ?? (await listen(0));
      if (!server) throw new Error('no free TCP port on 127.0.0.1');
      held.push(server);
    }
    return held.map((server) => (server.address() as { port: number }).port);
  } finally {
    await Promise.all(held.map(close));
  }
}
