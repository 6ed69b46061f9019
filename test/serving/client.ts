import { Agent, request } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Prediction } from '../../src/contracts/model.ts';
import type { RunningEndpoint } from '../../src/serving/endpoint/main.ts';

export interface Reply {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  predictions: Prediction[];
  error: { type: string; message: string } | undefined;
}

const agent = new Agent({ keepAlive: true, maxSockets: 64 });

/** `POST /invocations`; an object is sent as JSON, anything else as it is. */
export function invoke(
  { url }: Pick<RunningEndpoint, 'url'>,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Reply> {
  const sent = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body);
  return new Promise((resolve, reject) => {
    const asked = request(
      `${url}/invocations`,
      { method: 'POST', agent, headers: { 'content-type': 'application/json', ...headers } },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          const json = text === '' ? {} : JSON.parse(text);
          const { predictions = [], error } = json as Partial<Reply>;
          resolve({ status: response.statusCode!, headers: response.headers, predictions, error });
        });
      },
    );
    asked.on('error', reject);
    asked.end(sent);
  });
}

/** Bytes over a plain socket; what comes back until the other side closes or `withinMs` have passed. */
export function raw({ url }: RunningEndpoint, bytes: string | Uint8Array, withinMs = 3_000): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    let received = '';
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`the server kept the connection open for ${withinMs} ms, it said ${JSON.stringify(received)}`));
    }, withinMs);
    socket.on('data', (chunk) => {
      received += chunk.toString('latin1');
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(received);
    });
  });
}

/**
 * Callers who ask one request after the other, with a short pause for thought, until they are stopped; every reply is
 * kept. The pause leaves the machine's few cores to what is tested.
 */
export class Load {
  readonly replies: Reply[] = [];
  readonly failures: Error[] = [];
  private stopped = false;
  private readonly workers: Promise<void>[];
  private next = 0;

  constructor(
    endpoint: RunningEndpoint,
    concurrency: number,
    body: (index: number) => unknown = () => ({ x: 1, y: 1 }),
  ) {
    this.workers = Array.from({ length: concurrency }, async () => {
      while (!this.stopped) {
        await invoke(endpoint, body(this.next++)).then(
          (reply) => this.replies.push(reply),
          (error: Error) => this.failures.push(error),
        );
        await delay(5);
      }
    });
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await Promise.all(this.workers);
  }
}
