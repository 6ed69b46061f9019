import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface HealthServer {
  port: number;
  close(): Promise<void>;
}

/**
 * `/healthz` for supervisors, `/metrics` for Prometheus; on 127.0.0.1 unless told otherwise. What the worker says of
 * itself is what it is: a worker that no longer polls answers 503.
 */
export async function serveHealth(
  port: number,
  {
    healthy,
    metrics,
  }: { healthy: () => { ok: boolean; detail: Record<string, unknown> }; metrics: () => Promise<string> },
  host = '127.0.0.1',
): Promise<HealthServer> {
  const server: Server = createServer(
    { maxHeaderSize: 8 * 1024, headersTimeout: 5_000, requestTimeout: 5_000 },
    (request, response) => {
      const answer = async (): Promise<[status: number, type: string, body: string]> => {
        if (request.method !== 'GET') return [405, 'text/plain', 'only GET\n'];
        if (request.url === '/healthz') {
          const { ok, detail } = healthy();
          return [ok ? 200 : 503, 'application/json', `${JSON.stringify({ ok, ...detail })}\n`];
        }
        if (request.url === '/metrics') return [200, 'text/plain; version=0.0.4', await metrics()];
        return [404, 'text/plain', 'there are /healthz and /metrics\n'];
      };
      answer().then(
        ([status, type, body]) => response.writeHead(status, { 'content-type': type }).end(body),
        () => response.writeHead(500).end(),
      );
    },
  );
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, host, resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}
