import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Log } from '../log.ts';
import { HttpProblem } from './problem.ts';

export interface HttpLimits {
  maxConnections: number;
  maxHeaderBytes: number;
  /** For the whole header, and for the whole request. */
  headersTimeoutMs: number;
  requestTimeoutMs: number;
  keepAliveTimeoutMs: number;
}

export interface Answer {
  status: number;
  headers?: Readonly<Record<string, string>>;
  body?: string;
}

/** Calls its listener when the caller leaves before the answer is sent. */
export type OnGone = (listener: () => void) => void;
export type Answerer = (request: IncomingMessage, onGone: OnGone) => Promise<Answer>;
/** Path → method → what answers it. */
export type Routes = Readonly<Record<string, Readonly<Record<string, Answerer>>>>;

/** How long a refused body may still come in, so that its sender reads the refusal instead of a reset connection. */
const lingerMs = 500;

/**
 * The HTTP server with its limits. Every error is a small JSON body; texts of unexpected errors go to the log only.
 * @param refused told the status of everything that was answered with an error.
 */
export function createFront(routes: Routes, limits: HttpLimits, refused: (status: number) => void, log: Log): Server {
  const serve = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const onGone: OnGone = (listener) => {
      response.once('close', () => {
        if (!response.writableFinished) listener();
      });
    };
    let answer: Answer;
    try {
      answer = await route(routes, request)(request, onGone);
    } catch (error) {
      answer = problemAnswer(error, log);
      refused(answer.status);
    }
    send(request, response, answer, !server.listening);
  };
  const server = createServer(
    {
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.keepAliveTimeoutMs,
      connectionsCheckingInterval: 500,
      noDelay: true,
    },
    (request, response) => void serve(request, response),
  );
  server.maxConnections = limits.maxConnections;
  // Whoever holds connections without using them makes room for those who come; silent ones end with their time limit.
  server.on('drop', () => server.closeIdleConnections());
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    refused(refuseUnparsed(error, socket as Socket));
  });
  return server;
}

function route(routes: Routes, request: IncomingMessage): Answerer {
  // Node's parser takes a request line without a version for HTTP/0.9.
  if (request.httpVersionMajor !== 1) throw new HttpProblem(505, 'HttpVersion', 'expected HTTP/1.1');
  const path = (request.url ?? '').split('?', 1)[0]!;
  const methods = Object.hasOwn(routes, path) ? routes[path]! : undefined;
  if (!methods) throw new HttpProblem(404, 'NotFound', `no such path; there are ${Object.keys(routes).join(', ')}`);
  const method = request.method ?? '';
  const answerer = Object.hasOwn(methods, method) ? methods[method] : undefined;
  if (answerer) return answerer;
  const allow = Object.keys(methods).join(', ');
  throw new HttpProblem(405, 'MethodNotAllowed', `expected ${allow}`, { allow });
}

function problemAnswer(error: unknown, log: Log): Answer {
  if (!(error instanceof HttpProblem)) log.error({ error: String(error) }, 'request failed unexpectedly');
  const { status, type, message, headers } =
    error instanceof HttpProblem ? error : new HttpProblem(500, 'Internal', 'the endpoint failed on this request');
  return {
    status,
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ error: { type, message } }),
  };
}

function send(request: IncomingMessage, response: ServerResponse, answer: Answer, lastOne: boolean): void {
  const { status, headers, body = '' } = answer;
  const hasBody =
    request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0;
  const unread = hasBody && !request.complete;
  response.writeHead(status, {
    ...headers,
    'content-length': Buffer.byteLength(body),
    // What follows an unread body on this connection cannot be told from the body.
    ...((unread || lastOne) && { connection: 'close' }),
  });
  response.end(body);
  if (!unread) return;
  request.resume();
  const { socket } = request;
  response.once('finish', () => setTimeout(() => socket.destroy(), lingerMs).unref());
}

const unparsed: Readonly<Record<number, { text: string; type: string; message: string }>> = {
  400: { text: 'Bad Request', type: 'BadRequest', message: 'expected an HTTP/1.1 request' },
  408: { text: 'Request Timeout', type: 'RequestTimeout', message: 'the request did not arrive within the time limit' },
  431: { text: 'Request Header Fields Too Large', type: 'HeadersTooLarge', message: 'the headers are too large' },
};

/** What Node's parser refused: too large a header, a timeout, or no HTTP at all. */
function refuseUnparsed(error: NodeJS.ErrnoException, socket: Socket): number {
  const status = error.code === 'HPE_HEADER_OVERFLOW' ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400;
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return status;
  }
  const { text, type, message } = unparsed[status]!;
  const body = JSON.stringify({ error: { type, message } });
  const head = `HTTP/1.1 ${status} ${text}\r\nconnection: close\r\ncontent-type: application/json\r\n`;
  socket.end(`${head}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`, () => socket.destroy());
  return status;
}
