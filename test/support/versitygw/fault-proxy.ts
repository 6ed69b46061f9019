import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * What a network and S3 do to a request. `error200`: CompleteMultipartUpload answers 200 and tells of its failure in the
 * body (S3 API). `conflict`: 409, of conditional writes (user guide, "Conditional requests"). `lostReply`: done, and nobody
 * hears of it.
 */
export const faults = [
  'error500',
  'slowDown503',
  'conflict409',
  'reset',
  'lostReply',
  'truncated',
  'stalled',
  'slow',
  'error200',
] as const;
export type Fault = (typeof faults)[number];

/** A number in [0, 1) after the other; mulberry32. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const errorBody = (code: string): string =>
  `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>by the fault proxy</Message></Error>`;

/** Stands between a client and a real S3 server and breaks requests, by a seed or by a rule of the test. */
export class FaultProxy {
  /** Faults by kind, as they happened. */
  readonly fired = new Map<Fault, number>();
  /** `METHOD /path?query` of every request that came in. */
  readonly requests: string[] = [];
  /** Decides for a request before chance does; may do something first. */
  rule: (incoming: IncomingMessage) => Fault | 'pass' | undefined | Promise<Fault | 'pass' | undefined> = () =>
    undefined;
  readonly #target: URL;
  readonly #chance: () => number;
  readonly #share: number;
  readonly #server: Server;
  /** Faults in a row, so that bounded patience always wins. */
  readonly #inARow = new Map<string, number>();

  private constructor(target: string, seed: number, share: number) {
    this.#target = new URL(target);
    this.#chance = seeded(seed);
    this.#share = share;
    this.#server = createServer((incoming, outgoing) => void this.#answer(incoming, outgoing));
  }

  /** @param share of requests that meet a fault, 0 to 1 */
  static async start(target: string, { seed = 1, share = 0 } = {}): Promise<FaultProxy> {
    const proxy = new FaultProxy(target, seed, share);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    this.requests.push(`${incoming.method} ${incoming.url}`);
    const fault = await this.#faultOf(incoming);
    if (fault) this.fired.set(fault, (this.fired.get(fault) ?? 0) + 1);
    const refuse = (status: number, code: string): void => {
      incoming.resume();
      incoming.on('end', () => outgoing.writeHead(status, { 'content-type': 'application/xml' }).end(errorBody(code)));
    };
    if (fault === 'error500') return refuse(500, 'InternalError');
    if (fault === 'slowDown503') return refuse(503, 'SlowDown');
    if (fault === 'conflict409') return refuse(409, 'ConditionalRequestConflict');
    if (fault === 'error200') return refuse(200, 'InternalError');
    if (fault === 'reset') return void incoming.socket.destroy();
    if (fault === 'slow') await new Promise((wake) => setTimeout(wake, 150));
    this.#forward(incoming, outgoing, fault);
  }

  async #faultOf(incoming: IncomingMessage): Promise<Fault | undefined> {
    const ruled = await this.rule(incoming);
    if (ruled) return ruled === 'pass' ? undefined : ruled;
    const what = `${incoming.method} ${incoming.url}`;
    const inARow = this.#inARow.get(what) ?? 0;
    if (this.#chance() >= this.#share || inARow >= 2) {
      this.#inARow.delete(what);
      return undefined;
    }
    this.#inARow.set(what, inARow + 1);
    const possible = faults.filter((fault) => fits(fault, incoming));
    return possible[Math.floor(this.#chance() * possible.length)]!;
  }

  #forward(incoming: IncomingMessage, outgoing: ServerResponse, fault: Fault | undefined): void {
    const { hostname, port } = this.#target;
    // The signature covers the host that the client asked for.
    const onward = request({ hostname, port, method: incoming.method, path: incoming.url, headers: incoming.headers });
    onward.on('error', () => incoming.socket.destroy());
    onward.on('response', (answer) => {
      if (fault === 'lostReply') {
        answer.resume();
        answer.on('end', () => incoming.socket.destroy());
        return;
      }
      outgoing.writeHead(answer.statusCode!, answer.headers);
      if (fault !== 'truncated' && fault !== 'stalled') return void answer.pipe(outgoing);
      const parts: Buffer[] = [];
      answer.on('data', (part: Buffer) => parts.push(part));
      answer.on('end', () => {
        const whole = Buffer.concat(parts);
        outgoing.write(whole.subarray(0, Math.floor(whole.length / 2)), () => {
          // A stalled answer says nothing more, and its connection stays open.
          if (fault === 'truncated') incoming.socket.destroy();
        });
      });
    });
    incoming.pipe(onward);
  }
}

function fits(fault: Fault, { method, url = '', headers }: IncomingMessage): boolean {
  if (fault === 'truncated' || fault === 'stalled') return url.includes('x-id=GetObject');
  if (fault === 'error200') return method === 'POST' && url.includes('uploadId=');
  if (fault === 'conflict409') return headers['if-none-match'] !== undefined;
  // Deletions of a collection are sent once: what is lost then is what the next collection is for.
  return method !== 'DELETE';
}
