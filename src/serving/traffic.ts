import { randomUUID } from 'node:crypto';
import { Agent, request } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { backgroundTrafficMark, inferenceHeaders } from '../contracts/endpoint.ts';
import type { FeatureRow } from '../contracts/model.ts';

export interface BackgroundTrafficOptions {
  /** Base address of one replica. */
  url: string;
  /** The next row to send. */
  rows: () => FeatureRow;
  ratePerSecond: number;
  /** Ends the traffic early. */
  signal: AbortSignal;
  /** The traffic ends by itself after so long: a generator that somebody forgot must not run for ever. */
  forMs: number;
  /** Requests under way at once; arrivals beyond it are skipped and counted. Default 64. */
  maxConcurrency?: number;
  /** Default 10 s. */
  requestTimeoutMs?: number;
}

export interface TrafficCounts {
  /** Requests sent. */
  sent: number;
  /** Answered with 200. */
  answered: number;
  /** Other statuses, lost connections, timeouts. */
  failed: number;
  /** Due, but too many were under way. */
  skipped: number;
}

export interface BackgroundTraffic {
  counts(): TrafficCounts;
  /** Resolves when the traffic has ended and nothing is under way any more. Never rejects. */
  done: Promise<TrafficCounts>;
}

const tickMs = 10;

/**
 * Asks an endpoint at a steady rate, whether or not it keeps up (open loop: a slow endpoint is not spared, so what is
 * measured under it is honest). Every request is marked as background, so it counts for errors and latency of a rollout
 * and never for quality.
 */
export function startBackgroundTraffic(options: BackgroundTrafficOptions): BackgroundTraffic {
  const { url, rows, ratePerSecond, signal, forMs, maxConcurrency = 64, requestTimeoutMs = 10_000 } = options;
  const counts: TrafficCounts = { sent: 0, answered: 0, failed: 0, skipped: 0 };
  const agent = new Agent({ keepAlive: true, maxSockets: maxConcurrency });
  const underWay = new Set<Promise<void>>();

  const sendOne = (): void => {
    if (underWay.size >= maxConcurrency) {
      counts.skipped++;
      return;
    }
    counts.sent++;
    const asked = ask(url, agent, rows(), requestTimeoutMs).then((status) => {
      if (status === 200) counts.answered++;
      else counts.failed++;
      underWay.delete(asked);
    });
    underWay.add(asked);
  };

  const run = async (): Promise<TrafficCounts> => {
    const startedAt = performance.now();
    for (let elapsedMs = 0; elapsedMs < forMs && !signal.aborted; elapsedMs = performance.now() - startedAt) {
      // From the start, not from the last tick: late ticks catch up, and the rate holds over any length of time.
      const due = Math.floor((elapsedMs / 1_000) * ratePerSecond) + 1 - counts.sent - counts.skipped;
      for (let index = 0; index < due; index++) sendOne();
      await delay(tickMs, undefined, { signal }).catch(() => {});
    }
    await Promise.all(underWay);
    agent.destroy();
    return { ...counts };
  };
  return { counts: () => ({ ...counts }), done: run() };
}

/** The status, or 0 when there was none. */
function ask(url: string, agent: Agent, row: FeatureRow, timeoutMs: number): Promise<number> {
  return new Promise((resolve) => {
    const headers = {
      'content-type': 'application/json',
      [inferenceHeaders.inferenceId]: `background-${randomUUID()}`,
      [inferenceHeaders.customAttributes]: backgroundTrafficMark,
    };
    const asked = request(`${url}/invocations`, {
      method: 'POST',
      agent,
      headers,
      signal: AbortSignal.timeout(timeoutMs),
    });
    asked.on('response', (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
      response.on('error', () => resolve(0));
    });
    asked.on('error', () => resolve(0));
    asked.end(JSON.stringify(row));
  });
}
