import { createHash, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type AddressInfo, isIPv4, isIPv6 } from 'node:net';
import type { PayloadCodec } from '@temporalio/common';
import { InvalidCodecKey } from './errors.ts';
import { readPayloads, writePayloads } from './payloads-json.ts';

export interface CodecServerOptions {
  codec: PayloadCodec;
  /** The one namespace that the codec is bound to; requests for another are refused. */
  namespace: string;
  /** Origins of the Web UI, such as `http://127.0.0.1:8233`: pages of others get nothing. */
  origins: readonly string[];
  /** Asked for as `Authorization: Bearer …` when given. */
  token?: string;
  /** Default 127.0.0.1; any address that is not of this machine alone needs a token. */
  host?: string;
  port: number;
}

export interface CodecServer {
  url: string;
  close(): Promise<void>;
}

interface Answer {
  status: number;
  body?: string;
}

/** A page of history has many payloads of at most 2 MB each, in base64. */
const maxBodyBytes = 64 * 2 ** 20;

/**
 * `POST /encode` and `POST /decode` as the Temporal Web UI and CLI ask (docs.temporal.io/codec-server): proto JSON in, proto
 * JSON out. Who reaches it reads every payload, so it listens on this machine alone, answers pages of the named origins
 * alone, and can ask for a token. It logs nothing.
 */
export async function serveCodec(options: CodecServerOptions): Promise<CodecServer> {
  const { host = '127.0.0.1', port, token, origins } = options;
  if (token === undefined && !isLoopback(host))
    throw new InvalidCodecKey(`codec server on ${host}: expected a token where others than this machine can ask`);
  const server = createServer(
    { maxHeaderSize: 16 * 1024, headersTimeout: 5_000, requestTimeout: 30_000 },
    (request, response) => {
      const origin = request.headers.origin;
      if (origin !== undefined && origins.includes(origin)) allow(response, origin);
      answer(request, options).then(
        ({ status, body }) => response.writeHead(status, { 'content-type': 'application/json' }).end(body),
        () => response.writeHead(500).end(),
      );
    },
  );
  server.listen(port, host);
  await once(server, 'listening');
  const { port: chosen } = server.address() as AddressInfo;
  return {
    url: `http://${isIPv6(host) ? `[${host}]` : host}:${chosen}`,
    close: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** No credentials: the token comes in a header that the page sets, never in a cookie that it merely causes. */
function allow(response: ServerResponse, origin: string): void {
  response.setHeader('access-control-allow-origin', origin);
  response.setHeader('access-control-allow-methods', 'POST, OPTIONS');
  response.setHeader('access-control-allow-headers', 'authorization, content-type, x-namespace');
  response.setHeader('access-control-max-age', '600');
  response.setHeader('vary', 'origin');
}

async function answer(request: IncomingMessage, options: CodecServerOptions): Promise<Answer> {
  const { codec, namespace, origins, token } = options;
  const { origin, authorization, 'x-namespace': asked } = request.headers;
  // A browser names the page's origin with every POST; a page that is not the Web UI must not even cause work.
  if (origin !== undefined && !origins.includes(origin))
    return refusal(403, `the origin ${origin} is not the Web UI's`);
  const { pathname } = new URL(request.url ?? '/', 'http://codec');
  if (pathname !== '/encode' && pathname !== '/decode') return refusal(404, 'there are POST /encode and POST /decode');
  if (request.method === 'OPTIONS') return { status: 204 };
  if (request.method !== 'POST') return refusal(405, 'expected POST');
  if (token !== undefined && !isSame(authorization, `Bearer ${token}`))
    return refusal(401, 'expected the bearer token');
  if (asked !== undefined && asked !== '' && asked !== namespace)
    return refusal(403, `this codec server is for the namespace "${namespace}"`);
  const body = await read(request);
  if (!body) return refusal(413, `expected at most ${maxBodyBytes} bytes`);
  try {
    const payloads = readPayloads(body);
    return { status: 200, body: writePayloads(await (pathname === '/encode' ? codec.encode : codec.decode)(payloads)) };
  } catch (error) {
    return refusal(400, error instanceof Error ? error.message : String(error));
  }
}

const refusal = (status: number, error: string): Answer => ({ status, body: JSON.stringify({ error }) });

async function read(request: IncomingMessage): Promise<Buffer | undefined> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += (chunk as Buffer).length;
    if (bytes > maxBodyBytes) return undefined;
    chunks.push(chunk as Buffer);
  }
  return Buffer.concat(chunks);
}

/** Digests have one length, so that the comparison tells nothing about the token's. */
function isSame(given: string | undefined, expected: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  return given !== undefined && timingSafeEqual(digest(given), digest(expected));
}

const isLoopback = (host: string): boolean =>
  host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
