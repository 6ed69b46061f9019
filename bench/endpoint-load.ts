import { Agent, request } from 'node:http';
import { summariseLatencies } from '../src/serving/scoring/latency.ts';

/** The callers of bench/endpoint.ts, in a process of their own. */
export type Order = { url: string; durationMs: number; work: 'text' | 'tabular' } & (
  | { callers: number }
  | { ratePerSecond: number }
);
export interface Sample {
  perSecond: number;
  errors: number;
  latency: ReturnType<typeof summariseLatencies>;
}

async function obey(order: Order): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 'callers' in order ? order.callers : 256 });
  const latenciesMs: number[] = [];
  let errors = 0;
  const bodies = order.work === 'text' ? mails : tables;
  let next = 0;
  const ask = async (dueAt: number): Promise<void> => {
    const ok = await invoke(order.url, agent, bodies[next++ % bodies.length]!);
    if (ok) latenciesMs.push(performance.now() - dueAt);
    else errors++;
  };
  const startedAt = performance.now();
  const endsAt = startedAt + order.durationMs;
  if ('callers' in order) {
    const one = async (): Promise<void> => {
      while (performance.now() < endsAt) await ask(performance.now());
    };
    await Promise.all(Array.from({ length: order.callers }, one));
  } else {
    // The clock of a request starts when it was due, so that a stall is charged to all who would have come meanwhile.
    const asked: Promise<void>[] = [];
    const count = (order.durationMs / 1_000) * order.ratePerSecond;
    while (asked.length < count) {
      const dueAt = startedAt + (asked.length / order.ratePerSecond) * 1_000;
      if (dueAt <= performance.now()) asked.push(ask(dueAt));
      else await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await Promise.all(asked);
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  agent.destroy();
  const sample: Sample = { perSecond: latenciesMs.length / seconds, errors, latency: summariseLatencies(latenciesMs) };
  process.send!(sample);
}

function invoke(url: string, agent: Agent, body: string): Promise<boolean> {
  return new Promise((resolve) => {
    const headers = { 'content-type': 'application/json' };
    const asked = request(`${url}/invocations`, { method: 'POST', agent, headers }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode === 200));
    });
    asked.on('error', () => resolve(false));
    asked.end(body);
  });
}

/** Texts with the length and the vocabulary growth of mails: 250 words, frequent ones more often (Zipf). */
const mails: string[] = Array.from({ length: 200 }, (_, mail): string => {
  let state = mail + 1;
  const random = (): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
  const words = Array.from({ length: 250 }, () => `w${Math.floor(20_000 ** random())}x`);
  const row = { subject: words.slice(0, 6).join(' '), body: words.join(' ') };
  return JSON.stringify(row);
});

/** One row of as many numbers as the tabular model has columns. */
const tables: string[] = Array.from({ length: 200 }, (_, table) =>
  JSON.stringify({ instances: [{ features: Array.from({ length: 32 }, (_, place) => Math.sin(table * 32 + place)) }] }),
);

process.on('message', (order: unknown) => void obey(order as Order));
