import { createServer, type IncomingMessage, type Server } from 'node:http';
import { z } from 'zod';
import type { Goto3 } from '../../src/client/connect.ts';
import { KeptConnection } from './kept-connection.ts';
import { Problem, problemOf } from './problem.ts';

/** What `POST /retrain/<loop>` may carry; all of it is optional when the `Idempotency-Key` header is there. */
const Body = z.strictObject({
  requestId: z.string().optional(),
  reason: z.string().min(1).max(500).default('asked over HTTP'),
});
const largestBodyBytes = 4_096;
/** Visible ASCII: it becomes the id of a Temporal update and stands in logs. */
const requestIdPattern = /^[\x21-\x7e]{1,200}$/;

/**
 * `POST /retrain/<loop>` starts a cycle, or joins the one that is queued: 202 `{cycle, state, reason}`. The caller names
 * its request; asking twice is asking once, also over a crash of this service, which remembers nothing.
 */
export function createTriggerService(connect: () => Promise<Goto3>): Server {
  const connection = new KeptConnection(connect);
  const server = createServer({ maxHeaderSize: 8_192, requestTimeout: 10_000 }, (request, response) => {
    const reply = (status: number, body: object, headers: Record<string, string> = {}): void => {
      // What is left of a refused body is not read, and a service that stops keeps no connection.
      if (!request.complete || !server.listening) response.shouldKeepAlive = false;
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(`${JSON.stringify(body)}\n`);
    };
    answer(request, connection)
      .then(([status, body]) => reply(status, body))
      .catch((error: unknown) => {
        const problem = problemOf(error);
        if (problem.status >= 500)
          console.error(JSON.stringify({ event: 'failed', path: request.url, error: String(error) }));
        reply(problem.status, { error: problem.message }, problem.headers);
      });
  });
  server.once('close', () => void connection.close());
  return server;
}

async function answer(request: IncomingMessage, connection: KeptConnection): Promise<[status: number, body: object]> {
  if (request.url === '/healthz' && request.method === 'GET') return [200, { ok: true }];
  const [, loop] = /^\/retrain\/([^/?#]+)$/.exec(request.url ?? '') ?? [];
  if (!loop) throw new Problem(404, 'there are POST /retrain/<loop> and GET /healthz');
  if (request.method !== 'POST') throw new Problem(405, `expected POST, got ${request.method}`, { allow: 'POST' });

  const { requestId, reason } = await readRequest(request);
  const goto3 = await connection.get();
  return [202, await goto3.loop(loop).retrain({ requestId, reason })];
}

async function readRequest(request: IncomingMessage): Promise<{ requestId: string; reason: string }> {
  const body = Body.safeParse(parse(await readBody(request)));
  if (!body.success) throw new Problem(400, `body: ${z.prettifyError(body.error).replaceAll(/\s*\n\s*/g, ' ')}`);
  const header = request.headers['idempotency-key'];
  const requestId = header ?? body.data.requestId;
  if (typeof requestId !== 'string' || !requestIdPattern.test(requestId))
    throw new Problem(
      400,
      'expected an Idempotency-Key header, or requestId in the body: 1 to 200 visible ASCII characters',
    );
  if (body.data.requestId !== undefined && body.data.requestId !== requestId)
    throw new Problem(400, 'the Idempotency-Key header and requestId in the body differ');
  return { requestId, reason: body.data.reason };
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Left early, a plain `for await` would destroy the socket, and with it the answer that says why.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > largestBodyBytes) throw new Problem(413, `body: expected at most ${largestBodyBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parse(text: string): unknown {
  if (text === '') return {};
  try {
    return JSON.parse(text);
  } catch {
    throw new Problem(400, 'body: expected JSON such as {"reason": "nightly"}, or nothing');
  }
}
