import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { backgroundTrafficMark, inferenceHeaders } from '../../src/contracts/endpoint.ts';
import { startBackgroundTraffic } from '../../src/serving/traffic.ts';
import { until } from './waiting.ts';

describe('background traffic', () => {
  let server: Server;
  let url: string;
  let answer: (index: number) => number | 'never';
  const seen: { headers: IncomingMessage['headers']; body: string }[] = [];
  const never = new AbortController().signal;

  before(async () => {
    server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk) => {
        body += chunk;
      });
      request.on('end', () => {
        const status = answer(seen.push({ headers: request.headers, body }));
        if (status !== 'never') response.writeHead(status).end();
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  beforeEach(() => {
    seen.length = 0;
    answer = () => 200;
  });
  after(async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });

  it('holds its rate, marks every request and ends by itself', async () => {
    let next = 0;
    const traffic = startBackgroundTraffic({
      url,
      rows: () => ({ x: next++ }),
      ratePerSecond: 100,
      forMs: 500,
      signal: never,
    });
    const counts = await traffic.done;
    assert.ok(counts.sent >= 25 && counts.sent <= 51, `${counts.sent} sent`);
    assert.deepEqual(counts, { sent: counts.sent, answered: counts.sent, failed: 0, skipped: 0 });
    assert.equal(seen.length, counts.sent);
    assert.equal(new Set(seen.map(({ headers }) => headers[inferenceHeaders.inferenceId])).size, counts.sent);
    for (const { headers } of seen) assert.equal(headers[inferenceHeaders.customAttributes], backgroundTrafficMark);
    assert.deepEqual(new Set(seen.map(({ body }) => JSON.parse(body).x)).size, counts.sent);
  });

  it('counts errors, and stops when it is told to', async () => {
    answer = (index) => (index % 2 === 0 ? 200 : 503);
    const controller = new AbortController();
    const traffic = startBackgroundTraffic({
      url,
      rows: () => ({}),
      ratePerSecond: 200,
      forMs: 60_000,
      signal: controller.signal,
    });
    await until('some failed', () => traffic.counts().failed >= 5);
    controller.abort();
    const { sent, answered, failed } = await traffic.done;
    assert.equal(answered + failed, sent);
    assert.ok(Math.abs(answered - failed) <= 1);
  });

  it('is bounded when nobody answers, and lives through a dead endpoint', async () => {
    answer = () => 'never';
    const options = { url, rows: () => ({}), ratePerSecond: 200, forMs: 200, signal: never, requestTimeoutMs: 300 };
    const silent = await startBackgroundTraffic({ ...options, maxConcurrency: 5 }).done;
    assert.equal(silent.sent, 5);
    assert.equal(silent.failed, 5);
    assert.ok(silent.skipped > 10);
    const dead = await startBackgroundTraffic({ ...options, url: 'http://127.0.0.1:1' }).done;
    assert.equal(dead.failed, dead.sent);
    assert.ok(dead.sent > 10);
  });
});
