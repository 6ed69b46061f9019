import { Agent, request } from 'node:http';
import { inferenceHeaders } from '../../src/contracts/endpoint.ts';

/** Callers of bench/endpoint-promotions.ts, in a process of their own: requests at a rate, whatever comes back. */
export interface Called {
  /** When it was due, in milliseconds since 1970. */
  dueMs: number;
  sentMs: number;
  tookMs: number;
  /** Null where the connection broke. */
  status: number | null;
  /** The version that answered or failed; empty where none was asked. */
  version: string;
}
export type Order = { url: string; ratePerSecond: number } | 'stop';

const called: Called[] = [];
let isStopped = false;

async function callAt(url: string, ratePerSecond: number): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 256 });
  const startedMs = Date.now();
  const calls: Promise<void>[] = [];
  while (!isStopped) {
    const dueMs = startedMs + (calls.length / ratePerSecond) * 1_000;
    if (dueMs <= Date.now()) calls.push(call(url, agent, dueMs, calls.length));
    else await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await Promise.all(calls);
  agent.destroy();
  process.send!(called);
}

function call(url: string, agent: Agent, dueMs: number, number: number): Promise<void> {
  const features = Array.from({ length: 32 }, (_, place) => Math.sin(number * 32 + place));
  const headers = { 'content-type': 'application/json' };
  let sentMs = Date.now();
  return new Promise((resolve) => {
    const end = (status: number | null, version: string): void => {
      called.push({ dueMs, sentMs, tookMs: Date.now() - dueMs, status, version });
      resolve();
    };
    const asked = request(`${url}/invocations`, { method: 'POST', agent, headers }, (response) => {
      response.resume();
      response.on('end', () => {
        end(response.statusCode ?? null, String(response.headers[inferenceHeaders.invokedVariant] ?? ''));
      });
    });
    // Behind a server that is slow it waits for a connection first.
    asked.on('socket', () => {
      sentMs = Date.now();
    });
    asked.on('error', () => end(null, ''));
    asked.end(JSON.stringify({ instances: [{ features }] }));
  });
}

process.on('message', (order: unknown) => {
  const asked = order as Order;
  if (asked === 'stop') isStopped = true;
  else void callAt(asked.url, asked.ratePerSecond);
});
