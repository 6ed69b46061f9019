import { inferenceHeaders } from '../../../src/contracts/endpoint.ts';
import { invoke } from '../../serving/client.ts';
import type { ClientRequest } from '../checker/evidence.ts';
import type { StackUnderFault } from './stack.ts';

/** Callers think for so long between two requests: the machine's few cores belong to what is tested. */
const thinkMs = 15;

export type Row = { x: number; y: number };

/** Callers of an endpoint, each with an id for every request, until they are stopped; what they saw goes to the checker. */
export class Traffic {
  readonly requests: ClientRequest[] = [];
  /** What is asked; may be changed while they ask. */
  rowOf: (request: number, caller: number) => Row = (request, caller) => ({
    x: (request % 7) - 3,
    y: (caller % 3) - 1,
  });
  private isStopped = false;
  private readonly callers: Promise<void>[];

  constructor(stack: StackUnderFault, endpoint: string, callers = 2) {
    const url = stack.endpointUrl(endpoint);
    stack.log.requests[endpoint] ??= [];
    const all = stack.log.requests[endpoint];
    this.callers = Array.from({ length: callers }, async (_, caller) => {
      while (!this.isStopped) {
        const inferenceId = `caller-${caller}-${all.length}-${process.hrtime.bigint()}`;
        const request: ClientRequest = { inferenceId, atMs: Date.now(), status: null };
        await invoke({ url }, this.rowOf(all.length, caller), { [inferenceHeaders.inferenceId]: inferenceId }).then(
          ({ status, headers }) => {
            request.status = status;
            request.answeredAtMs = Date.now();
            request.variant = String(headers[inferenceHeaders.invokedVariant]);
          },
          // A connection that broke: `status` stays null.
          () => undefined,
        );
        this.requests.push(request);
        all.push(request);
        await new Promise((resolve) => setTimeout(resolve, thinkMs));
      }
    });
  }

  /** Requests that got no 200, from a time on. */
  failedSince(sinceMs: number): ClientRequest[] {
    return this.requests.filter(({ atMs, status }) => atMs >= sinceMs && status !== 200);
  }

  /** Requests that a variant did not answer with 200, and all that it was asked. */
  of(variant: string): { failed: number; asked: number } {
    const asked = this.requests.filter((request) => request.variant === variant);
    return { failed: asked.filter(({ status }) => status !== 200).length, asked: asked.length };
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    await Promise.all(this.callers);
  }
}
